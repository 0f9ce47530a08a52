// boost::lockfree::spsc_queue between two pinned processes: the native yardstick for the rate of 64-byte messages.
// The queue is placed into a MAP_SHARED mapping before fork(); it has no pointers inside when its capacity is fixed at compile time.
//
//   boost_spsc --cores 0,1 --batch 1|16|... --consume all|pop --capacity 1024|4096|16384|65536 --messages N --runs R
//
// Prints one JSON object. Every message carries a 64-bit sequence number, checked by the consumer; the whole 64 bytes are written.
#include <boost/lockfree/spsc_queue.hpp>
#include <boost/version.hpp>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include <csignal>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace {

struct Message {
  uint64_t words[8];
};

struct Options {
  int cores[2] = {0, 1};
  size_t batch = 1;
  bool consume_all = true;
  size_t capacity = 1024;
  uint64_t messages = 10'000'000;
  int runs = 5;
};

struct alignas(128) Control {
  std::atomic<uint32_t> ready{0};
  alignas(128) std::atomic<uint32_t> go{0};
  alignas(128) uint64_t end_ns{0};
  uint64_t errors{0};
  std::atomic<uint32_t> done{0};
};

uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return uint64_t(t.tv_sec) * 1'000'000'000u + uint64_t(t.tv_nsec);
}

void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    std::fprintf(stderr, "boost_spsc: cannot pin to core %d: %s\n", core, std::strerror(errno));
    std::exit(1);
  }
}

inline void relax() { __builtin_ia32_pause(); }

inline void fill(Message &m, uint64_t sequence) {
  for (uint64_t &word : m.words) word = sequence;
}

template <class Queue> void produce(Queue &queue, const Options &o) {
  if (o.batch == 1) {
    for (uint64_t i = 0; i < o.messages; ++i) {
      Message m;
      fill(m, i);
      while (!queue.push(m)) relax();
    }
    return;
  }
  std::vector<Message> batch(o.batch);
  for (uint64_t i = 0; i < o.messages;) {
    size_t count = o.messages - i < o.batch ? size_t(o.messages - i) : o.batch;
    for (size_t k = 0; k < count; ++k) fill(batch[k], i + k);
    for (size_t sent = 0; sent < count;) {
      size_t pushed = queue.push(batch.data() + sent, count - sent);
      if (pushed == 0) relax();
      sent += pushed;
    }
    i += count;
  }
}

template <class Queue> uint64_t consume(Queue &queue, const Options &o) {
  uint64_t expected = 0, errors = 0;
  auto check = [&](const Message &m) {
    errors += m.words[0] != expected;
    ++expected;
  };
  while (expected < o.messages) {
    if (o.consume_all) {
      if (queue.consume_all(check) == 0) relax();
    } else {
      Message m;
      if (queue.pop(m)) check(m);
      else relax();
    }
  }
  return errors;
}

template <size_t Capacity> double run_once(const Options &o) {
  using Queue = boost::lockfree::spsc_queue<Message, boost::lockfree::capacity<Capacity>>;
  const size_t bytes = sizeof(Control) + alignof(Queue) + sizeof(Queue) + 4096;
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) { std::perror("boost_spsc: mmap"); std::exit(1); }
  auto *control = new (memory) Control;
  auto *queue = new (static_cast<char *>(memory) + 4096) Queue;

  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) { std::perror("boost_spsc: fork"); std::exit(1); }
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    pin(o.cores[1]);
    control->ready.store(1, std::memory_order_release);
    while (!control->go.load(std::memory_order_acquire)) relax();
    const uint64_t errors = consume(*queue, o);
    control->end_ns = now_ns();
    control->errors = errors;
    control->done.store(1, std::memory_order_release);
    _exit(errors == 0 ? 0 : 3);
  }
  pin(o.cores[0]);
  while (!control->ready.load(std::memory_order_acquire)) relax();
  const uint64_t start = now_ns();
  control->go.store(1, std::memory_order_release);
  produce(*queue, o);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0 || control->done.load() != 1 || control->errors != 0) {
    std::fprintf(stderr, "boost_spsc: the consumer saw a wrong sequence or died (status %d)\n", status);
    std::exit(1);
  }
  const double seconds = double(control->end_ns - start) * 1e-9;
  munmap(memory, bytes);
  return double(o.messages) / seconds;
}

double run_capacity(const Options &o) {
  switch (o.capacity) {
    case 1024: return run_once<1024>(o);
    case 4096: return run_once<4096>(o);
    case 16384: return run_once<16384>(o);
    case 65536: return run_once<65536>(o);
    default: std::fprintf(stderr, "boost_spsc: --capacity is 1024, 4096, 16384 or 65536\n"); std::exit(2);
  }
}

Options parse(int argc, char **argv) {
  Options o;
  for (int i = 1; i < argc; i += 2) {
    const std::string key = argv[i];
    if (i + 1 >= argc) { std::fprintf(stderr, "boost_spsc: %s needs a value\n", argv[i]); std::exit(2); }
    const char *value = argv[i + 1];
    if (key == "--cores") {
      if (std::sscanf(value, "%d,%d", &o.cores[0], &o.cores[1]) != 2) { std::fprintf(stderr, "boost_spsc: --cores A,B\n"); std::exit(2); }
    } else if (key == "--batch") o.batch = std::strtoull(value, nullptr, 10);
    else if (key == "--consume") o.consume_all = std::string(value) != "pop";
    else if (key == "--capacity") o.capacity = std::strtoull(value, nullptr, 10);
    else if (key == "--messages") o.messages = std::strtoull(value, nullptr, 10);
    else if (key == "--runs") o.runs = std::atoi(value);
    else { std::fprintf(stderr, "boost_spsc: unknown option %s\n", argv[i]); std::exit(2); }
  }
  if (o.batch < 1 || o.messages < 1 || o.runs < 1) { std::fprintf(stderr, "boost_spsc: numbers must be positive\n"); std::exit(2); }
  return o;
}

} // namespace

int main(int argc, char **argv) {
  const Options o = parse(argc, argv);
  std::printf("{\"peer\":\"boost_spsc\",\"boost\":\"%s\",\"kind\":\"thr\",\"size_bytes\":64,\"batch\":%zu,\"consume\":\"%s\",\"capacity\":%zu,\"cores\":[%d,%d],\"messages\":%llu,\"runs\":[",
              BOOST_LIB_VERSION, o.batch, o.consume_all ? "all" : "pop", o.capacity, o.cores[0], o.cores[1], (unsigned long long)o.messages);
  for (int run = 0; run < o.runs; ++run) std::printf("%s%.0f", run ? "," : "", run_capacity(o));
  std::printf("],\"verified\":true}\n");
}
