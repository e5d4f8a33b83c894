// Counts cores by the process's affinity mask and the quotas of its control groups.
#include "base/cores.h"

#include <sched.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>

namespace cavs {
namespace {

// Cores that one file of a control group allows, or 0 where it sets no limit.
double quota_of(const std::string& folder) {
  std::string quota;
  double period = 0;
  std::ifstream version2(folder + "/cpu.max");
  if (version2 >> quota >> period) {
    return quota == "max" || period <= 0 ? 0 : std::atof(quota.c_str()) / period;
  }
  double microseconds = 0;
  std::ifstream version1(folder + "/cpu.cfs_quota_us");
  std::ifstream version1_period(folder + "/cpu.cfs_period_us");
  if (version1 >> microseconds && version1_period >> period && microseconds > 0 && period > 0) {
    return microseconds / period;
  }
  return 0;
}

// The least quota of the process's control groups and of the groups above them, or 0.
double cgroup_quota() {
  double least = 0;
  const auto consider = [&least](const std::string& folder) {
    const double quota = quota_of(folder);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  };
  std::ifstream groups("/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string path = line.substr(second + 1);
    std::string root = "/sys/fs/cgroup";
    if (!controllers.empty()) {
      if (("," + controllers + ",").find(",cpu,") == std::string::npos) continue;
      root += "/" + controllers;
    }
    while (path.size() > 1 && path[0] == '/') {
      consider(root + path);
      path.resize(path.rfind('/'));
    }
    consider(root);
  }
  return least;
}

int count_cores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cores = CPU_COUNT(&set);
  const double quota = cgroup_quota();
  if (quota > 0) cores = std::min(cores, static_cast<int>(quota));
#endif
  return std::max(cores, 1);
}

}  // namespace

int available_cores() {
  static const int cores = count_cores();
  return cores;
}

}  // namespace cavs
