// Two ZeroMQ PAIR sockets over ipc:// between two processes, each main thread pinned (ZeroMQ's own I/O threads are not).
//
//   zeromq_pair --cores 0,1 --size 64 --path /tmp/x.sock --seconds 0.3 --runs 3
//
// Prints one JSON object: p50 of a ping-pong, one way, and messages per second of each run of a stream. Each message carries a 64-bit number, checked.
#include <zmq.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

namespace {

struct Options {
  int cores[2] = {0, 1};
  size_t size = 64;
  std::string path;
  double seconds = 0.3;
  int runs = 3;
};

constexpr int64_t end_word = INT64_MIN;
constexpr size_t max_samples = 200'000;

[[noreturn]] void fail(const char *what) {
  std::fprintf(stderr, "zeromq_pair: %s: %s\n", what, zmq_strerror(zmq_errno()));
  std::exit(1);
}

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return int64_t(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    std::fprintf(stderr, "zeromq_pair: cannot pin to core %d: %s\n", core, std::strerror(errno));
    std::exit(1);
  }
}

struct End {
  void *context = zmq_ctx_new();
  void *socket = zmq_socket(context, ZMQ_PAIR);
  std::vector<char> out, in;

  explicit End(size_t size) : out(size), in(size) {
    int linger = 1000;
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
  }
  void send(int64_t word) {
    std::memcpy(out.data(), &word, sizeof word);
    if (zmq_send(socket, out.data(), out.size(), 0) < 0) fail("send");
  }
  int64_t receive() {
    if (zmq_recv(socket, in.data(), in.size(), 0) != int(in.size())) fail("receive");
    int64_t word;
    std::memcpy(&word, in.data(), sizeof word);
    return word;
  }
  ~End() {
    zmq_close(socket);
    zmq_ctx_term(context);
  }
};

// Sends words back; a negative one announces so many messages of a stream.
void answer(const Options &o, const std::string &address) {
  End end(o.size);
  if (zmq_connect(end.socket, address.c_str()) != 0) fail("connect");
  pin(o.cores[1]);
  for (;;) {
    int64_t word = end.receive();
    if (word == end_word) return;
    if (word >= 0) {
      end.send(word);
      continue;
    }
    int64_t wrong = 0;
    for (int64_t n = 0; n < -word; ++n) wrong += end.receive() != n;
    end.send(wrong);
  }
}

double ping_pong(End &end, double seconds) {
  std::vector<int64_t> samples;
  samples.reserve(max_samples);
  int64_t warm = now_ns() + int64_t(3e8), stop = warm + int64_t(seconds * 1e9);
  for (int64_t n = 0;; ++n) {
    int64_t start = now_ns();
    end.send(n);
    if (end.receive() != n) fail("answer");
    int64_t at = now_ns();
    if (at < warm) continue;
    samples.push_back(at - start);
    if (at > stop || samples.size() == max_samples) break;
  }
  std::nth_element(samples.begin(), samples.begin() + samples.size() / 2, samples.end());
  return double(samples[samples.size() / 2]) / 2;
}

double stream(End &end, int64_t messages) {
  int64_t start = now_ns();
  end.send(-messages);
  for (int64_t n = 0; n < messages; ++n) end.send(n);
  if (end.receive() != 0) {
    std::fprintf(stderr, "zeromq_pair: messages arrived out of order\n");
    std::exit(1);
  }
  return double(messages) * 1e9 / double(now_ns() - start);
}

Options parse(int argc, char **argv) {
  Options o;
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string key = argv[i], value = argv[i + 1];
    if (key == "--cores") std::sscanf(value.c_str(), "%d,%d", &o.cores[0], &o.cores[1]);
    else if (key == "--size") o.size = std::stoul(value);
    else if (key == "--path") o.path = value;
    else if (key == "--seconds") o.seconds = std::stod(value);
    else if (key == "--runs") o.runs = std::stoi(value);
    else {
      std::fprintf(stderr, "zeromq_pair: unknown option %s\n", key.c_str());
      std::exit(2);
    }
  }
  return o;
}

} // namespace

int main(int argc, char **argv) {
  Options o = parse(argc, argv);
  std::string address = "ipc://" + o.path;
  pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    answer(o, address);
    return 0;
  }
  double p50;
  std::vector<double> rates;
  {
    End end(o.size);
    if (zmq_bind(end.socket, address.c_str()) != 0) fail("bind");
    pin(o.cores[0]);
    p50 = ping_pong(end, o.seconds);
    double rate = stream(end, 1000);
    for (int run = 0; run <= o.runs; ++run) {
      rate = stream(end, std::max<int64_t>(1000, int64_t(rate * o.seconds)));
      if (run > 0) rates.push_back(rate);
    }
    end.send(end_word);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::printf("{\"p50_ns\":%.1f,\"rates\":[", p50);
  for (size_t i = 0; i < rates.size(); ++i) std::printf("%s%.1f", i == 0 ? "" : ",", rates[i]);
  std::printf("]}\n");
  return status == 0 ? 0 : 1;
}
