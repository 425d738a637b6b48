package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

const (
	// spare is the garbage that the daemon may always hold before it is
	// collected, in bytes: with a small heap that is as much as Go's own
	// measure, so that collections are rare.
	spare = 12 << 20
	// With a large heap it is this part of it, in percent. Almost all of that
	// heap is tables without pointers, which a collection does not read, and the
	// core makes little garbage: so what is saved is cheap.
	leastGarbage = 12
	mostGarbage  = 100 // Go's own
	heapEvery    = 5 * time.Second
)

// keepSmall bounds the garbage in memory until ctx ends, in the measure of what
// is alive. Go's own measure is as much garbage as there is alive, for which
// nobody would see a reason on a host that has other things to do: with a
// million clients it is some 80 MB. Restoring is not slowed down, the measure
// follows it; caughtUp is when all is read, and what that has left behind can
// be given back to the system. Who sets GOGC or GOMEMLIMIT has it as they say.
func keepSmall(ctx context.Context, caughtUp <-chan struct{}) {
	tick := time.NewTicker(heapEvery)
	defer tick.Stop()
	set := mostGarbage
	adjust := func() {
		// A change waits for a collection that is under way, so small ones
		// are not made.
		if p := garbage(liveHeap(set)); p < set-set/8 || p > set+set/8 || p != set && p == leastGarbage {
			debug.SetGCPercent(p)
			set = p
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-caughtUp:
			caughtUp = nil
			debug.FreeOSMemory() // collects, so that what is alive is known
			adjust()
		case <-tick.C:
			adjust()
		}
	}
}

// garbage is how much there may be, in percent of what is alive.
func garbage(alive uint64) int {
	return int(min(max(spare*100/max(alive, 1), leastGarbage), mostGarbage))
}

// room is the garbage that a replay may have beyond what is alive, in bytes:
// a collection takes as long as all of a short replay.
const room = 32 << 20

// giveRoom puts off the first garbage collection, and each next one by the
// same room. A collection in begin, which is called as soon as there is room, is
// not counted: little is alive then.
func giveRoom(begin func()) {
	percent := roomy(0)
	debug.SetGCPercent(percent)
	begin()
	var follow func()
	follow = func() {
		runtime.AddCleanup(new(*byte), func(struct{}) { // after a collection
			percent = roomy(liveHeap(percent))
			debug.SetGCPercent(percent)
			follow()
		}, struct{}{})
	}
	follow()
}

// roomy is room and what is alive in percent of that. Go begins to collect at no
// less than this part of 4 MB.
func roomy(alive uint64) int { return int(100 + room*100/max(alive, 4<<20)) }

// liveHeap is what the last collection found alive, in bytes, a little more than
// that, or up to 4 MB for less: that and so many percent of it is where the next
// one begins. Package runtime/metrics knows it exactly, but makes its tables
// whenever the program starts.
func liveHeap(percent int) uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.NextGC / uint64(100+percent) * 100
}

// tunedByHand says whether the operator has said how memory is to be used. It
// must be called before the environment is cleaned.
func tunedByHand() bool {
	for _, k := range []string{"GOGC", "GOMEMLIMIT"} {
		if os.Getenv(k) != "" {
			return true
		}
	}
	return false
}
