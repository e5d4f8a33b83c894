// Counts sweeps and keeps the graphs of those that came again.
#include "cuda/sweep/graphs.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace cavs::cuda {
namespace {

bool read_environment() {
  const char* value = std::getenv("CAVS_CUDA_GRAPHS");
  return value == nullptr || std::strcmp(value, "0") != 0;
}

std::atomic<bool>& enabled() {
  static std::atomic<bool> enabled{read_environment()};
  return enabled;
}

}  // namespace

bool uses_graphs() { return enabled().load(std::memory_order_relaxed); }
void set_uses_graphs(bool on) { enabled().store(on, std::memory_order_relaxed); }

std::list<GraphCache::Entry>::iterator GraphCache::position_of(const SweepKey& key) {
  return std::find_if(entries_.begin(), entries_.end(),
                      [&key](const Entry& entry) { return entry.key == key; });
}

GraphCache::Found GraphCache::find(const SweepKey& key) {
  const std::lock_guard<std::mutex> guard(mutex_);
  const auto found = position_of(key);
  if (found == entries_.end()) return {};
  entries_.splice(entries_.begin(), entries_, found);
  if (found->graph) return {Advice::kReplay, found->graph};
  return {found->given_up ? Advice::kLaunch : Advice::kCapture, nullptr};
}

void GraphCache::note_launched(const SweepKey& key) {
  const std::lock_guard<std::mutex> guard(mutex_);
  if (position_of(key) != entries_.end()) return;
  entries_.push_front({key, nullptr, false});
  if (entries_.size() > kMost) entries_.pop_back();
}

void GraphCache::keep(const SweepKey& key, std::shared_ptr<const Graph> graph) {
  const std::lock_guard<std::mutex> guard(mutex_);
  const auto found = position_of(key);
  if (found == entries_.end()) return;
  found->given_up = graph == nullptr;
  found->graph = std::move(graph);
}

}  // namespace cavs::cuda
