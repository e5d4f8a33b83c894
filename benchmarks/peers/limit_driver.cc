// Lets Python drive the limit program step by step, on given weights and given batches of trees.
//
// g++ -std=c++17 -O3 -march=native -pthread -shared -fPIC -DHH=<hidden>
//     -DLIMIT_SOURCE='"<path of the program>"' limit_driver.cc
//
// The program is included as it is, with its `main` under another name; the state that its `main`
// prepares is prepared here. One library is one model. Without AVX-512 it is compiled over AVX2.
#if !defined(__AVX512F__)
#include "avx512_on_avx2.h"
#include "limit_kernels_avx2.h"
#endif

#define main limit_main
#include LIMIT_SOURCE
#undef main

#include <condition_variable>
#include <mutex>

namespace {

// While it lives, this thread takes and gives denormal numbers as zeros, as all contenders do.
class FlushDenormals {
 public:
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | kFlushToZero | kZeroInputs); }
  ~FlushDenormals() { _mm_setcsr(before_); }

 private:
  static constexpr unsigned kFlushToZero = 0x8000, kZeroInputs = 0x0040;
  unsigned before_;
};

// The second thread: it waits for steps, at first spinning, then asleep, so that it takes no core
// from the contenders whose turn comes next.
class Partner {
 public:
  Partner() : thread_([this] { work(); }) {}
  ~Partner() {
    quit_ = true;
    start(nullptr, 0, false);
    thread_.join();
  }

  void start(const int* trees, int count, bool training) {
    trees_ = trees;
    count_ = count;
    training_ = training;
    steps_.fetch_add(1);
    if (asleep_) {
      const std::lock_guard<std::mutex> lock(mutex_);
      wake_.notify_one();
    }
  }

 private:
  void work() {
    const FlushDenormals flush;
    for (int done = 0;; ++done) {
      for (int spins = 0; steps_ == done && spins < 20000; ++spins) _mm_pause();
      if (steps_ == done) {
        std::unique_lock<std::mutex> lock(mutex_);
        asleep_ = true;
        wake_.wait(lock, [&] { return steps_ != done; });
        asleep_ = false;
      }
      if (quit_) return;
      training_ ? step<true>(1, trees_, count_) : step<false>(1, trees_, count_);
    }
  }

  const int* trees_ = nullptr;
  int count_ = 0;
  bool training_ = false;
  std::atomic<int> steps_{0};
  std::atomic<bool> asleep_{false}, quit_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::thread thread_;
};

std::unique_ptr<Partner> partner;

void run_step(const int* trees, int count, bool training) {
  const FlushDenormals flush;
  if (partner) partner->start(trees, count, training);
  training ? step<true>(0, trees, count) : step<false>(0, trees, count);
}

// Calls visit(weight) for every weight in the order in which Python lists them: the arrays of the
// state dict, each row by row, without w_f.weight.
template <class Visit>
void each_weight(Visit visit) {
  for (int word = 0; word < VOC; ++word) {
    for (int k = 0; k < X; ++k) visit(E[static_cast<size_t>(word) * LX + k]);
  }
  const auto gates = [&](float* panels, int width) {
    for (int gate = 0; gate < 3; ++gate) {
      for (int unit = 0; unit < H; ++unit) {
        float* column = panels + (unit / 16) * width * 48 + gate * 16 + unit % 16;
        for (int k = 0; k < width; ++k) visit(column[k * 48]);
      }
    }
  };
  gates(PW, X);
  gates(B3, 1);
  gates(PU, H);
  for (int unit = 0; unit < H; ++unit) visit(BF[unit]);
  for (int unit = 0; unit < H; ++unit) {
    for (int k = 0; k < H; ++k) visit(PUf[((unit / 32) * H + k) * 32 + unit % 32]);
  }
  for (int label = 0; label < NC; ++label) {
    for (int unit = 0; unit < H; ++unit) visit(WO[label * Hp + unit]);
  }
  for (int label = 0; label < NC; ++label) visit(BO[label]);
}

float* weights_of(size_t count) {
  return fal(count + 1024);  // products read ahead of a panel's end
}

void allocate() {
  const size_t u = static_cast<size_t>(HB) * H * 48, f = static_cast<size_t>(HQ) * H * 32;
  const size_t w = static_cast<size_t>(HB) * X * 48, words = static_cast<size_t>(VOC) * LX;
  for (float** array : {&E, &EA}) *array = fal(words);
  for (float** array : {&PU, &PUa, &PUg}) *array = weights_of(u);
  for (float** array : {&PUf, &PUfa, &PUfg}) *array = weights_of(f);
  for (float** array : {&PW, &PWa, &PWg}) *array = weights_of(w);
  PUt = weights_of(static_cast<size_t>(HQ) * KG * 32);
  PUft = weights_of(static_cast<size_t>(HQ) * H * 32);
  PWt = weights_of(static_cast<size_t>(XQ) * KG * 32);
  for (Loc& local : L) {
    for (float** rows : {&local.hs, &local.cb, &local.dhb}) {
      *rows = fal(static_cast<size_t>(MC + 16) * LH);
    }
    local.ap = fal(static_cast<size_t>(KC) * 320);
    local.bp = fal(KC * 48);
  }
}

// Where the columns of the gates' gradients stand: whole blocks of 16 units of three gates, then
// what is left of each gate.
void segment_gates() {
  const int whole = H / 16, rest = H % 16;
  nsegG = 0;
  const auto add_segment = [](int first, int count) {
    segG[2 * nsegG] = first;
    segG[2 * nsegG + 1] = count;
    ++nsegG;
  };
  add_segment(0, 48 * whole);
  for (int gate = 0; rest > 0 && gate < 3; ++gate) add_segment(48 * whole + 16 * gate, rest);
}

}  // namespace

extern "C" {

// Prepares a model of zeros; `rate` is Adagrad's, `threads` 1 or 2.
void limit_start(int words, int threads, float rate) {
  VOC = words;
  NTH = threads;
  LR = rate;
  allocate();
  segment_gates();
  if (threads > 1) partner = std::make_unique<Partner>();
}

// Ends the second thread.
void limit_stop() { partner.reset(); }

// A tree of n vertices, children before their parents: words of leaves, two children of the others.
void limit_add_tree(int n, const int* word, const int* left, const int* right, const int* label) {
  Tree tree;
  tree.n = n;
  tree.word.assign(word, word + n);
  tree.left.assign(left, left + n);
  tree.right.assign(right, right + n);
  tree.label.assign(label, label + n);
  tree.h.resize(n);
  for (int v = 0; v < n; ++v) {
    tree.h[v] = word[v] >= 0 ? 0 : 1 + std::max(tree.h[left[v]], tree.h[right[v]]);
  }
  TR.push_back(tree);
}

void limit_read_weights(float* to) {
  each_weight([&](float weight) { *to++ = weight; });
}

void limit_write_weights(const float* from) {
  each_weight([&](float& weight) { weight = *from++; });
  for (int panel = 0; panel < HB; ++panel) {
    repackU(panel);
    repackW(panel);
  }
  for (int panel = 0; panel < HQ; ++panel) repackUf(panel);
}

// Forward, backward and Adagrad; the sum of the losses before the step.
double limit_train(const int* trees, int count) {
  CH = count >= 256 ? 16 : 32;
  run_step(trees, count, true);
  return LOSS;
}

// Forward, up to the greatest logit of every vertex.
void limit_infer(const int* trees, int count) {
  CH = count >= 256 ? 16 : 32;
  run_step(trees, count, false);
}

// The loss as `limit_train`, but the step is `scale` times the gradient.
double limit_descend(const int* trees, int count, float scale) {
  const float rate = LR;
  LR = scale;
  SGD = true;
  const double loss = limit_train(trees, count);
  SGD = false;
  LR = rate;
  return loss;
}
}
