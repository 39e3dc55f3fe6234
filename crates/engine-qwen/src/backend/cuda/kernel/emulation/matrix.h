// The matrix units, as the PTX manual describes them.

static void load_matrices(u32 *to, const bf16 *row) {
    using namespace emulation;
    u32 lane = current % WARP;
    const Slot *slots = exchange({{(u64)row}});
    for (u32 m = 0; m < 4; m++) {
        const bf16 *at = (const bf16 *)slots[m * 8 + lane / 4].words[0] + lane % 4 * 2;
        to[m] = at[0].bits | (u32)at[1].bits << 16;
    }
}

static void load_matrices_across(u32 *to, const bf16 *row) {
    using namespace emulation;
    u32 lane = current % WARP;
    const Slot *slots = exchange({{(u64)row}});
    for (u32 m = 0; m < 4; m++) {
        const Slot *pair = slots + m * 8 + lane % 4 * 2;
        const bf16 *first = (const bf16 *)pair[0].words[0], *second = (const bf16 *)pair[1].words[0];
        to[m] = first[lane / 4].bits | (u32)second[lane / 4].bits << 16;
    }
}

static float half_of(u64 words, u32 reg, u32 upper) {
    u32 pair = (u32)(words >> (32 * reg));
    return __uint_as_float(upper ? pair & 0xffff0000 : pair << 16);
}

static void multiply(float *c, const u32 *a, const u32 *b) {
    using namespace emulation;
    u32 lane = current % WARP;
    const Slot *slots = exchange({{a[0] | (u64)a[1] << 32, a[2] | (u64)a[3] << 32,
                                   b[0] | (u64)b[1] << 32}});
    for (u32 i = 0; i < 4; i++) {
        u32 row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (u32 k = 0; k < 16; k++) {
            const Slot &left = slots[row % 8 * 4 + k % 8 / 2];
            const Slot &right = slots[column * 4 + k % 8 / 2];
            c[i] += half_of(left.words[k / 8], row / 8, k % 2) *
                    half_of(right.words[2], k / 8, k % 2);
        }
    }
}

static void copy_later(bf16 *to, const bf16 *from, bool there) {
    using namespace emulation;
    Copy copy = {to, {}};
    if (there) memcpy(copy.bytes, from, 16);
    memset(to, 0xff, 16);
    fibres[current].copies.back().push_back(copy);
}

static void copies_end() { emulation::fibres[emulation::current].copies.emplace_back(); }

template <int LEFT> static void copies_wait() {
    using namespace emulation;
    auto &groups = fibres[current].copies;
    // The last one has not ended.
    while (groups.size() > LEFT + 1) {
        for (const Copy &copy : groups.front()) memcpy(copy.to, copy.bytes, 16);
        groups.erase(groups.begin());
    }
}
