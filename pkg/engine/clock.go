package engine

// Clock limits.
const (
	// Late is the tolerated disorder of a log in seconds.
	Late = 120
	// jump is the longest step forward that is believed at once.
	jump = 3600
	// proofs is how many lines in a row must agree on a jump.
	proofs = 3
	// settled is for how long the clock has to go on from where it was set back
	// to until what it said before is taken for wrong.
	settled = 900
	// ahead is how far a live line may be ahead of the wall clock.
	ahead = 2
)

// A clock is the scoring clock: the newest accepted time of the log, in Unix
// seconds. One line with a wrong stamp, forged or not, must neither expire
// every ban nor stop time.
type clock struct {
	mark    int64 // newest accepted time; 0: none yet
	horizon int64 // nothing honest is later than this; 0: not known
	cap     int64 // no line counts later than this; 0: not live

	// The jump under proof: lines in a row that agree with each other and not
	// with mark.
	count   int
	last    int64
	pid     uint32
	onePID  bool
	back    bool   // mark was set back, and not all know it yet: see Engine.rewind
	top     int64  // the newest time before mark was set back; 0: it was not, or top is known to be wrong
	since   int64  // what mark was set back to
	judged  uint64 // lines that accept was asked about
	Jumps   uint64 // jumps believed
	Dropped uint64 // lines too old to be scored
	Held    uint64 // lines from an implausible future, given the time mark
}

// stands says whether the clock has the time of a line already, as for nearly
// all lines of a log. If not, the line has to be accepted.
func (c *clock) stands(t int64) bool {
	if t != c.mark || c.cap != 0 {
		return false
	}
	c.count = 0
	return true
}

// accept takes the time of a line and says which time the line counts at. ok
// is false for a line that is too old to be scored.
func (c *clock) accept(t int64, pid uint32) (at int64, ok bool) {
	c.judged++
	if c.cap != 0 && t > c.cap {
		t = c.cap
		c.Held++
	}
	switch {
	case c.mark == 0:
		c.mark = t
		return t, true
	case t >= c.mark-Late && (t <= c.mark+jump || t <= c.horizon):
		c.count = 0
		if t > c.mark {
			c.mark = t
		}
		return t, true
	}
	if c.proved(t, pid) {
		c.Jumps++
		if t < c.mark {
			c.back, c.top, c.since = true, max(c.top, c.mark), t
		}
		c.mark = t
		return t, true
	}
	if t > c.mark {
		c.Held++
		return c.mark, true
	}
	c.Dropped++
	return t, false
}

// proved adds t to the jump under proof and says whether it now has enough
// lines, not all of one process.
func (c *clock) proved(t int64, pid uint32) bool {
	if c.count == 0 || t < c.last-Late || t > c.last+jump {
		c.count, c.last, c.pid, c.onePID = 1, t, pid, true
		return false
	}
	c.count++
	c.last = max(c.last, t)
	if pid != c.pid {
		c.onePID = false
	}
	if c.count < proofs || c.onePID {
		return false
	}
	c.count = 0
	return true
}

// advance moves the clock over time without lines.
func (c *clock) advance(t int64) {
	if t > c.mark {
		c.mark = t
	}
}
