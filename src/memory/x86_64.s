// The first and the last of rdx octets in all, which overlap in the middle, by this many registers; and back to the caller.
.macro move_ends count, first, last
    .irp n, \first
    movups xmm\n, [rsi + 16 * \n]
    .endr
    .irp n, \last
    movups xmm\n, [rsi + rdx + 16 * (\n - \count)]
    .endr
    .irp n, \first
    movups [rdi + 16 * \n], xmm\n
    .endr
    .irp n, \last
    movups [rdi + rdx + 16 * (\n - \count)], xmm\n
    .endr
    ret
.endm

// rdi: to, rsi: from, rdx: count; gives what rdi was. Every read of a way comes before its first write.
.section .text.gapless_memmove,"ax",@progbits
.p2align 5
.globl gapless_memmove
.type gapless_memmove,@function
gapless_memmove:
    mov rax, rdi
    cmp rdx, 16
    jb 20f
    cmp rdx, 32
    ja 10f
    move_ends 2, "0", "1"
10:
    cmp rdx, 64
    ja 11f
    move_ends 4, "0, 1", "2, 3"
11:
    cmp rdx, 128
    ja 12f
    move_ends 8, "0, 1, 2, 3", "4, 5, 6, 7"
12:
    cmp rdx, 256
    ja 13f
    move_ends 16, "0, 1, 2, 3, 4, 5, 6, 7", "8, 9, 10, 11, 12, 13, 14, 15"
13: // more: forwards, unless that writes over what is still to be read
    mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jb 14f
    mov rcx, rdx
    rep movsb
    ret
14: // from the end, 64 at a time, but for the first 64, which are read now and written last
    movups xmm4, [rsi]
    movups xmm5, [rsi + 16]
    movups xmm6, [rsi + 32]
    movups xmm7, [rsi + 48]
15:
    movups xmm0, [rsi + rdx - 64]
    movups xmm1, [rsi + rdx - 48]
    movups xmm2, [rsi + rdx - 32]
    movups xmm3, [rsi + rdx - 16]
    movups [rdi + rdx - 64], xmm0
    movups [rdi + rdx - 48], xmm1
    movups [rdi + rdx - 32], xmm2
    movups [rdi + rdx - 16], xmm3
    sub rdx, 64
    cmp rdx, 64
    ja 15b
    movups [rdi], xmm4
    movups [rdi + 16], xmm5
    movups [rdi + 32], xmm6
    movups [rdi + 48], xmm7
    ret
20: // less than 16
    cmp edx, 8
    jb 21f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
21:
    cmp edx, 4
    jb 22f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
22:
    cmp edx, 1
    jb 23f
    movzx ecx, byte ptr [rsi]
    je 24f
    movzx r8d, word ptr [rsi + rdx - 2]
    mov [rdi + rdx - 2], r8w
24:
    mov [rdi], cl
23:
    ret
.size gapless_memmove, . - gapless_memmove

// rdi: to, esi: octet, rdx: count; gives what rdi was.
.section .text.gapless_memset,"ax",@progbits
.p2align 5
.globl gapless_memset
.type gapless_memset,@function
gapless_memset:
    mov r9, rdi
    movzx eax, sil
    movabs rcx, 0x0101010101010101
    imul rax, rcx
    cmp rdx, 16
    jb 30f
    cmp rdx, 256
    ja 32f
    movq xmm0, rax
    punpcklqdq xmm0, xmm0
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm0
    cmp rdx, 32
    jbe 31f
    movups [rdi + 16], xmm0
    movups [rdi + rdx - 32], xmm0
    cmp rdx, 64
    jbe 31f
    movups [rdi + 32], xmm0
    movups [rdi + 48], xmm0
    movups [rdi + rdx - 64], xmm0
    movups [rdi + rdx - 48], xmm0
    cmp rdx, 128
    jbe 31f
    movups [rdi + 64], xmm0
    movups [rdi + 80], xmm0
    movups [rdi + 96], xmm0
    movups [rdi + 112], xmm0
    movups [rdi + rdx - 128], xmm0
    movups [rdi + rdx - 112], xmm0
    movups [rdi + rdx - 96], xmm0
    movups [rdi + rdx - 80], xmm0
31:
    mov rax, r9
    ret
32:
    mov rcx, rdx
    rep stosb
    mov rax, r9
    ret
30: // less than 16
    cmp edx, 8
    jb 33f
    mov [rdi], rax
    mov [rdi + rdx - 8], rax
    mov rax, r9
    ret
33:
    cmp edx, 4
    jb 34f
    mov [rdi], eax
    mov [rdi + rdx - 4], eax
    mov rax, r9
    ret
34:
    cmp edx, 1
    jb 35f
    mov [rdi], al
    je 35f
    mov [rdi + rdx - 2], ax
35:
    mov rax, r9
    ret
.size gapless_memset, . - gapless_memset

// rdi, rsi: what is compared, rdx: count; gives less than, equal to or more than 0, as the first octets that differ.
.section .text.gapless_memcmp,"ax",@progbits
.p2align 5
.globl gapless_memcmp
.type gapless_memcmp,@function
gapless_memcmp:
    cmp rdx, 16
    jb 43f
    xor ecx, ecx
    lea r8, [rdx - 16]
    jmp 41f
40:
    movups xmm0, [rdi + rcx]
    movups xmm1, [rsi + rcx]
    pcmpeqb xmm0, xmm1
    pmovmskb eax, xmm0
    xor eax, 0xffff
    jnz 42f
    add rcx, 16
41:
    cmp rcx, r8
    jb 40b
    mov rcx, r8 // the last 16
    movups xmm0, [rdi + rcx]
    movups xmm1, [rsi + rcx]
    pcmpeqb xmm0, xmm1
    pmovmskb eax, xmm0
    xor eax, 0xffff
    jnz 42f
    ret
42:
    bsf eax, eax
    add rcx, rax
    movzx eax, byte ptr [rdi + rcx]
    movzx edx, byte ptr [rsi + rcx]
    sub eax, edx
    ret
43: // less than 16
    cmp edx, 8
    jb 44f
    mov rax, [rdi]
    mov rcx, [rsi]
    cmp rax, rcx
    jne 46f
    mov rax, [rdi + rdx - 8]
    mov rcx, [rsi + rdx - 8]
    cmp rax, rcx
    jne 46f
    xor eax, eax
    ret
44:
    cmp edx, 4
    jb 45f
    mov eax, [rdi]
    mov ecx, [rsi]
    cmp eax, ecx
    jne 47f
    mov eax, [rdi + rdx - 4]
    mov ecx, [rsi + rdx - 4]
    cmp eax, ecx
    jne 47f
    xor eax, eax
    ret
46: // 8 octets, the first of which counts most
    bswap rax
    bswap rcx
    cmp rax, rcx
    sbb eax, eax
    or eax, 1
    ret
47: // 4 octets
    bswap eax
    bswap ecx
    cmp eax, ecx
    sbb eax, eax
    or eax, 1
    ret
45: // less than 4
    xor ecx, ecx
48:
    cmp rcx, rdx
    je 49f
    movzx eax, byte ptr [rdi + rcx]
    movzx r8d, byte ptr [rsi + rcx]
    inc rcx
    sub eax, r8d
    jz 48b
    ret
49:
    xor eax, eax
    ret
.size gapless_memcmp, . - gapless_memcmp

.text
