//! What the kernel dropped at sockets of ours because their buffers were full, by its table of UDP sockets (proc(5)).

use std::fs;

/// Replies dropped so far at the sockets on these ports; nothing where there is no such table.
pub(super) fn at(ports: &[u16]) -> u64 {
    ["/proc/net/udp", "/proc/net/udp6"]
        .into_iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .map(|table| sum(&table, ports))
        .sum()
}

/// The second column ends with the local port in hexadecimal digits, the last one is the count.
fn sum(table: &str, ports: &[u16]) -> u64 {
    let rows = table.lines().skip(1);
    let drops = rows.filter_map(|row| {
        let mut words = row.split_whitespace();
        let (_, port) = words.nth(1)?.rsplit_once(':')?;
        let port = u16::from_str_radix(port, 16).ok()?;
        let drops = words.next_back()?.parse::<u64>().ok()?;
        ports.contains(&port).then_some(drops)
    });
    drops.sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn what_does_not_fit_into_a_socket_is_counted() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(at(&[address.port()]), 0);
        let many = 20_000;
        for _ in 0..many {
            sender.send_to(&[0; 512], address).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let mut taken = 0;
        while socket.recv(&mut [0; 512]).is_ok() {
            taken += 1;
        }
        assert_eq!(at(&[address.port()]) + taken, many);
    }
}
