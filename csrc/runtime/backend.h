// What the runtime asks of a device. Each device is a room of its own beside the others, and knows
// the runtime; the runtime knows this class alone.
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

// What a backend makes of a program once and for all batches: kernels found, code of elementwise
// groups. Its own business.
class Prepared {
 public:
  virtual ~Prepared() = default;
};

// What a backend decides for one sweep of a run over a batch, and the memory that it needs for
// it at the end of the arena.
class Workspace {
 public:
  virtual ~Workspace() = default;
  int64_t bytes = 0;
  int64_t alignment = kAlignment;  // of its start, a multiple of kAlignment
};

// What the lifetimes of values are counted in. Segments: where threads drift apart within one, each
// going through all of it with some rows, so that all its values are alive together. Instructions:
// where an instruction is done with all rows before the next begins; a segment by levels is one
// step there too, since the next level begins again.
enum class Steps : uint8_t { kSegments, kInstructions };

// One sweep of a run, forward or backward: what it is made of, and where all of it stands.
struct Sweep {
  const Executable& exe;
  bool keep;  // what backward reads
  const Layout& layout;
  const SweepPlan& plan;
  const Schedule& schedule;
  const RowCounts& counts;
  std::byte* memory;  // of the arena
  // In memory of the host. Where that reaches the arena, they stand in it: the tables at its start,
  // one after the other, the lists of parents likewise from plan.lists_offset on. Elsewhere the
  // backend brings them there.
  const std::vector<UniqueTable>& uniques;
  const std::vector<UniqueParents>& parents;  // [unique]
  const RandomContext& random;
  const ArrayLists& own;      // arrays of the program itself
  const ArrayLists& forward;  // of its forward program, whose values it may read
  FirstNan* first_nan;        // where states are to be looked at, else null
  SweepProfile* profile;      // where clocks are to run, else null
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
  // Whether values that one segment confines (see Layout) have memory of the backend's, for some
  // rows at a time, and none in the arena.
  virtual bool keeps_confined_values() const = 0;
  // Whether the instruction may write over rows that it reads without a table.
  virtual bool writes_over_inputs(const Program& program, const Instruction& instruction) const = 0;

  // Asked once the layouts of the program are known, which outlives what it gives.
  virtual std::shared_ptr<const Prepared> prepare(const Executable& exe) const = 0;
  // For at most so many threads of the host.
  virtual std::unique_ptr<const Workspace> workspace(const Executable& exe, bool keep,
                                                     const RowCounts& counts,
                                                     const Schedule& schedule,
                                                     int threads) const = 0;
  // Bytes that a run leaves beside the arena, for later ones.
  virtual int64_t bytes_kept(const Executable& exe, const RowCounts& counts) const = 0;

  // Runs all segments. Rethrows what a kernel threw, after all threads came to the end.
  virtual void run(const Sweep& sweep) = 0;
  // Returns when what was begun is done, and its results may be read.
  virtual void synchronize() = 0;

  // What training steps compute besides runs.
  virtual const StepArithmetic<float>& step_arithmetic(float) const = 0;
  virtual const StepArithmetic<double>& step_arithmetic(double) const = 0;

 private:
  Allocator& allocator_;
  ArenaPool arenas_;
};

// Defined by the rooms, each its own; null of one that this build leaves out. They live as long as
// the process.
Backend* cpu_backend();
Backend* cuda_backend();

// Throws Error(kValue) for a device that this build has no room for.
Backend& backend_of(Device device);

// The device of this name. Throws Error(kValue) for a word that is none, or names a device that
// this build has no room for.
Device device_named(const std::string& name);

// Those of this build.
std::vector<Backend*> backends();

}  // namespace cavs
