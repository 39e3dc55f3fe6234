// What the kernels' sources need of CUDA, for a CPU: enough to run one block of threads after the
// other and look at the result.
//
// Threads are fibres. One runs until it waits for others, at a barrier or where a warp exchanges
// something; then the next one does. Shared memory is not a number until it is written. A copy
// that goes on by itself spoils its destination when it begins, and is made when it is waited for,
// so that reading too early and writing too early both show.

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>
#include <ucontext.h>

#define EMULATED
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(threads)
#define __shared__ static
#define __align__(bytes) __attribute__((aligned(bytes)))
#define EXTERN_SHARED(type, name) type *name = (type *)emulation::memory

using std::max;
using std::min;

struct Dimensions {
    uint32_t x, y, z;
};

static Dimensions threadIdx, blockIdx, blockDim, gridDim;

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline uint4 make_uint4(uint32_t x, uint32_t y, uint32_t z, uint32_t w) {
    return {x, y, z, w};
}

static inline float __uint_as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, 4);
    return x;
}
static inline uint32_t __float_as_uint(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return bits;
}

namespace emulation {

constexpr uint32_t WARP = 32, MOST = 1024, STACK = 1 << 16;

alignas(16) static uint8_t memory[232448];

struct Copy {
    void *to;
    uint8_t bytes[16];
};

struct Fibre {
    ucontext_t start;
    jmp_buf at;
    bool begun, done;
    std::vector<char> stack;
    // Groups of copies that are not waited for yet; the last one is open.
    std::vector<std::vector<Copy>> copies;
};

struct Slot {
    uint64_t words[4];
};

// Where a warp meets. Slots of two meetings: a lane that is quick may be at the next already.
struct Meeting {
    Slot slots[2][WARP];
    uint32_t arrived, number;
};

static Fibre fibres[MOST];
static Meeting meetings[MOST / WARP];
static uint32_t threads, current, arrived, barrier;
static bool progress;
static jmp_buf scheduler;
static void (*body)(const uint64_t *);
static const uint64_t *arguments;

static void wait() {
    if (_setjmp(fibres[current].at) == 0) _longjmp(scheduler, 1);
}

static void begin() {
    body(arguments);
    fibres[current].done = true;
    progress = true;
    _longjmp(scheduler, 1);
}

static void resume(uint32_t thread) {
    Fibre &fibre = fibres[thread];
    current = thread;
    threadIdx = {thread, 0, 0};
    if (_setjmp(scheduler) != 0) return;
    if (fibre.begun) _longjmp(fibre.at, 1);
    fibre.begun = true;
    setcontext(&fibre.start);
}

static void run_block() {
    memset(memory, 0xff, sizeof memory);
    memset(meetings, 0, sizeof meetings);
    arrived = barrier = 0;
    for (uint32_t i = 0; i < threads; i++) {
        Fibre &fibre = fibres[i];
        fibre.begun = fibre.done = false;
        fibre.stack.resize(STACK);
        fibre.copies.assign(1, {});
        getcontext(&fibre.start);
        fibre.start.uc_stack.ss_sp = fibre.stack.data();
        fibre.start.uc_stack.ss_size = STACK;
        fibre.start.uc_link = nullptr;
        makecontext(&fibre.start, begin, 0);
    }
    for (bool left = true; left;) {
        left = progress = false;
        for (uint32_t i = 0; i < threads; i++) {
            if (fibres[i].done) continue;
            left = true;
            resume(i);
        }
        if (left && !progress) {
            fputs("threads wait for each other in vain\n", stderr);
            abort();
        }
    }
}

// Shows the other lanes of the warp something, and gives what they showed.
static const Slot *exchange(Slot slot) {
    Meeting &meeting = meetings[current / WARP];
    uint32_t number = meeting.number;
    Slot *slots = meeting.slots[number % 2];
    slots[current % WARP] = slot;
    progress = true;
    if (++meeting.arrived == WARP) {
        meeting.arrived = 0;
        meeting.number++;
    }
    while (meeting.number == number) wait();
    return slots;
}

template <class T> static T argument(uint64_t bits) {
    T value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

template <class... A, size_t... I>
static void call(void (*kernel)(A...), const uint64_t *arguments, std::index_sequence<I...>) {
    kernel(argument<A>(arguments[I])...);
}

template <class... A> static constexpr uint32_t count(void (*)(A...)) { return sizeof...(A); }

template <class... A> static void call(void (*kernel)(A...), const uint64_t *arguments) {
    call(kernel, arguments, std::index_sequence_for<A...>());
}

} // namespace emulation

static inline void __syncthreads() {
    using namespace emulation;
    uint32_t number = barrier;
    progress = true;
    if (++arrived == threads) {
        arrived = 0;
        barrier++;
    }
    while (barrier == number) wait();
}

static inline float __shfl_xor_sync(uint32_t, float x, uint32_t lanes) {
    using namespace emulation;
    uint32_t lane = current % WARP;
    const Slot *slots = exchange({{__float_as_uint(x)}});
    return __uint_as_float((uint32_t)slots[lane ^ lanes].words[0]);
}
