// The interface between the runtime and a device. Each device is a room of its own and knows the
// runtime. Of a device, the runtime knows only this class.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/device.h"
#include "memory/allocator.h"
#include "memory/arena.h"
#include "program/program.h"
#include "runtime/arrays.h"
#include "runtime/profile.h"
#include "runtime/random_context.h"
#include "runtime/states.h"
#include "runtime/unique.h"

namespace cavs {

struct Executable;
struct Layout;
struct SweepPlan;
struct RowCounts;
template <class T>
class StepArithmetic;
template <class T>
class LaterStep;

// A backend prepares a program once for all batches: it finds kernels and makes code for
// elementwise groups. Only the backend knows the content.
class Prepared {
 public:
  virtual ~Prepared() = default;
};

// The decisions of a backend for one sweep of a run over a batch, and the memory that it needs for
// the sweep at the end of the arena.
class Workspace {
 public:
  virtual ~Workspace() = default;
  int64_t bytes = 0;
  int64_t alignment = kAlignment;  // of its start, a multiple of kAlignment
};

// What a device keeps in its memory beside the values for as long as a run lives: arrays of the
// schedule, integer inputs. It stands at the start of the arena, behind the tables of distinct ids.
class Staged {
 public:
  virtual ~Staged() = default;
  int64_t bytes = 0;  // a multiple of kAlignment
};

// What an instruction may write over of the rows that it reads without a table: nothing, any
// element because it reads rows whole before it writes, or each element that alone gives the new
// one.
enum class Overwrites : uint8_t { kNothing, kRows, kElements };

// The unit of the lifetimes of values. kSegments: threads drift apart within a segment, because
// each goes through all of it with some rows; so all values of a segment are alive together.
// kInstructions: an instruction is done with all rows before the next begins. A segment by levels
// is one step there too, because the next level begins with its first instruction again.
enum class Steps : uint8_t { kSegments, kInstructions };

// One sweep of a run, forward or backward, with everything that it reads and the places in memory.
struct Sweep {
  const Executable& exe;
  bool keep;  // whether to keep values that backward reads
  const Layout& layout;
  const SweepPlan& plan;
  const SweepPlan& forward_plan;  // of the run's forward; in forward `plan` itself
  const Schedule& schedule;
  const RowCounts& counts;
  std::byte* memory;  // of the arena
  // In memory of the host. If the host reaches the arena, the tables stand in the arena, one after
  // the other from its start on, and the lists of parents in the same way from plan.lists_offset
  // on. Otherwise the backend copies the tables there, and makes the lists: there are none here.
  const std::vector<UniqueTable>& uniques;
  const ParentTables& parents;
  const RandomContext& random;
  const ArrayLists& own;      // arrays of the program itself
  const ArrayLists& forward;  // of its forward program, whose values it may read
  FirstNan* first_nan;        // null where nobody looks for NaN in states
  SweepProfile* profile;      // null where no times are measured
};

class Backend {
 public:
  // The allocator must live as long as the backend.
  explicit Backend(Allocator& allocator) : allocator_(allocator), arenas_(allocator) {}
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  Device device() const { return allocator_.device(); }
  Allocator& allocator() const { return allocator_; }
  ArenaPool& arenas() { return arenas_; }

  // Whether it can run the instruction; asked when a program is made executable.
  virtual bool supports(const Program& program, const Instruction& instruction) const = 0;
  virtual Steps steps() const = 0;
  // Whether the backend has memory of its own for confined values (see Layout), for some rows at a
  // time, so that they take none in the arena.
  virtual bool keeps_confined_values() const = 0;
  virtual Overwrites overwrites(const Program& program, const Instruction& instruction) const = 0;

  // What a run over a schedule keeps in the arena beside values; asked once for each run. `keep`:
  // whether backward may follow. None by default.
  virtual std::shared_ptr<const Staged> stage(const Executable& exe, bool keep,
                                              const RowCounts& counts,
                                              const Schedule& schedule) const;
  // Called once the layouts of the program are known. The executable outlives the result.
  virtual std::shared_ptr<const Prepared> prepare(const Executable& exe) const = 0;
  // For at most `threads` threads of the host. `staged`: of the run.
  virtual std::unique_ptr<const Workspace> workspace(const Executable& exe, bool keep,
                                                     const RowCounts& counts,
                                                     const Schedule& schedule, const Staged& staged,
                                                     int threads) const = 0;
  // Bytes that a run leaves beside the arena, for later runs; in inference, where parameters are
  // known not to change.
  virtual int64_t bytes_kept(const Executable& exe, bool keep, const RowCounts& counts,
                             const Schedule& schedule, const Workspace& workspace) const = 0;

  // Runs all segments, or puts them on the device's stream: then results may be read after
  // synchronize(), or by later work on that stream. Arrays in memory of the host that the sweep
  // names are not read after the call. Rethrows the exception of a kernel after all threads have
  // ended.
  virtual void run(const Sweep& sweep) = 0;
  // Returns when all work that has begun is done.
  virtual void synchronize() = 0;

  // The arithmetic of training steps besides runs.
  virtual const StepArithmetic<float>& step_arithmetic(float) const = 0;
  virtual const StepArithmetic<double>& step_arithmetic(double) const = 0;
  // A step for which the host does not wait; null where calls are done when they return.
  virtual std::unique_ptr<LaterStep<float>> later_step(float) const;
  virtual std::unique_ptr<LaterStep<double>> later_step(double) const;

 private:
  Allocator& allocator_;
  ArenaPool arenas_;
};

// Each room defines its own functions. Backends live as long as the process.
Backend* cpu_backend();
// Throws Error(kDevice) where there is no GPU of this number, or no CUDA in this build.
Backend& cuda_backend(int ordinal);
// Those that were asked for so far.
std::vector<Backend*> open_cuda_backends();
// The GPU whose memory this is. Throws Error(kDevice) where it is no GPU's.
int cuda_ordinal_of(const void* data);

Backend& backend_of(Device device);

// "cpu", "cuda" (the first GPU) or "cuda:1". Throws Error(kValue) for another word; whether the
// device is there shows when its backend is asked for.
Device device_named(const std::string& name);

// The backends that were asked for so far.
std::vector<Backend*> backends();

}  // namespace cavs
