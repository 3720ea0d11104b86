//! `memcpy`, `memmove`, `memset`, `memcmp` and `bcmp` for static programs on x86-64. It knows octets, and nothing of what is made of
//! them.
//!
//! musl's copy by `rep movsq` and octet by octet, and compare octet by octet: 0.2 µs of an answer, of 0.6 in all
//! (`docs/decisions/0022-memory-functions-beside-musl.md`). Being defined here, they are what the linker finds first. Up to 256
//! octets are read whole before any is written, so that one function is right for both kinds of copy; what is longer is left
//! to the processor (`rep movsb`). For 64-bit ARM musl has good ones.
#![allow(
    unsafe_code,
    reason = "a memory function in Rust would be compiled into a call of itself"
)]

std::arch::global_asm!(include_str!("memory/x86_64.s"));

#[cfg(target_env = "musl")]
std::arch::global_asm!(
    ".globl memcpy, memmove, memset, memcmp, bcmp",
    ".set memcpy, gapless_memmove",
    ".set memmove, gapless_memmove",
    ".set memset, gapless_memset",
    ".set memcmp, gapless_memcmp",
    ".set bcmp, gapless_memcmp",
);

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    unsafe extern "C" {
        fn gapless_memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8;
        fn gapless_memset(to: *mut u8, octet: i32, count: usize) -> *mut u8;
        fn gapless_memcmp(a: *const u8, b: *const u8, count: usize) -> i32;
    }

    /// Every length at which one way ends and the next begins, and some beyond all of them.
    const LENGTHS: std::ops::Range<usize> = 0..700;

    fn octets(count: usize) -> Vec<u8> {
        (0..count).map(|n| (n * 7 + n / 251) as u8).collect()
    }

    #[test]
    fn a_copy_is_the_same_whatever_overlaps() {
        const ROOM: usize = 1500;
        for count in LENGTHS {
            for (from, to) in [
                (0, 700),
                (700, 0),
                (0, 0),
                (3, 4),
                (4, 3),
                (0, 15),
                (17, 0),
                (5, 69),
                (300, 0),
                (0, 300),
            ] {
                let mut copied = octets(ROOM);
                let mut expected = copied.clone();
                expected.copy_within(from..from + count, to);
                let start = copied.as_mut_ptr();
                // SAFETY: both places lie in the vector.
                let given = unsafe {
                    gapless_memmove(start.wrapping_add(to), start.wrapping_add(from), count)
                };
                assert_eq!(given, start.wrapping_add(to));
                assert_eq!(copied, expected, "{count} from {from} to {to}");
            }
        }
    }

    #[test]
    fn a_fill_reaches_from_the_first_octet_to_the_last() {
        for count in LENGTHS {
            let mut filled = vec![1; count + 2];
            let start = filled[1..].as_mut_ptr();
            // SAFETY: so many octets lie behind the first one.
            let given = unsafe { gapless_memset(start, 0x1_07, count) };
            assert_eq!(given, start);
            assert_eq!((filled[0], filled[count + 1]), (1, 1), "{count}");
            assert!(filled[1..=count].iter().all(|it| *it == 7), "{count}");
        }
    }

    #[test]
    fn the_first_octet_that_differs_decides() {
        // SAFETY: both have so many octets.
        let compare =
            |a: &[u8], b: &[u8]| unsafe { gapless_memcmp(a.as_ptr(), b.as_ptr(), a.len()).cmp(&0) };
        for count in LENGTHS {
            let a = octets(count);
            assert_eq!(compare(&a, &a.clone()), Ordering::Equal, "{count}");
            for at in 0..count {
                let mut b = a.clone();
                b[at] ^= 0x80;
                if let Some(last) = b.last_mut().filter(|_| at + 1 < count) {
                    *last = !*last; // does not count
                }
                assert_eq!(compare(&a, &b), a.cmp(&b), "{at} of {count}");
            }
        }
    }
}
