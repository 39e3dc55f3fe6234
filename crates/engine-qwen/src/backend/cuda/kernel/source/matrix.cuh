// The matrix units, and copies that go on by themselves. Stands before sources that use them.
//
// A fragment is what a lane holds of a matrix: see "Matrix Fragments for mma.m16n8k16" in the PTX
// manual.

#ifndef EMULATED

DEVICE u32 shared_address(const void *at) {
    return (u32)__cvta_generic_to_shared(at);
}

// Four matrices of 8 x 8, row by row; lane 8 m + r says where row r of the m-th is.
DEVICE void load_matrices(u32 *to, const bf16 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row)));
}

// The same with rows and columns exchanged.
DEVICE void load_matrices_across(u32 *to, const bf16 *row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(shared_address(row)));
}

// c += a * b: 16 x 16 by 16 x 8.
DEVICE void multiply(float *c, const u32 *a, const u32 *b) {
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

// 16 bytes to shared memory, or zeros where there are none.
DEVICE void copy_later(bf16 *to, const bf16 *from, bool there) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)),
                 "l"(from), "r"(there ? 16 : 0));
}

// Ends a group of copies.
DEVICE void copies_end() {
    asm volatile("cp.async.commit_group;");
}

// Waits until all groups but so many of the last are there.
template <int LEFT> DEVICE void copies_wait() {
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

#endif

// Rows of the left side: 16 of them from `at` on, 16 numbers each.
DEVICE void load_left(u32 *to, const bf16 *at, u32 pitch) {
    u32 lane = threadIdx.x % 32;
    load_matrices(to, at + lane % 16 * pitch + lane / 16 * 8);
}

// Columns of the right side that are stored as rows: 16 of them from `at` on, 16 numbers each.
// The first two fragments are of the first eight columns.
DEVICE void load_right(u32 *to, const bf16 *at, u32 pitch) {
    u32 lane = threadIdx.x % 32;
    load_matrices(to, at + (lane % 8 + lane / 16 * 8) * pitch + lane / 8 % 2 * 8);
}

// Columns of the right side that are stored as columns: 16 numbers of each, 16 of them.
DEVICE void load_right_across(u32 *to, const bf16 *at, u32 pitch) {
    u32 lane = threadIdx.x % 32;
    load_matrices_across(to, at + lane % 16 * pitch + lane / 16 * 8);
}
