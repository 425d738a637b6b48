package engine

// Clock limits, DESIGN.md 5.1.
const (
	// Late is the tolerated disorder of a log in seconds.
	Late = 120
	// jump is the longest step forward that is believed at once.
	jump = 3600
	// little is by how many seconds the clock may be set back without a word to
	// what goes by it: what is so old counts in any window of as many.
	little = 600
	// rest is for how many seconds the clock can't be set back there again.
	rest = 60
	// proofs is how many lines in a row must agree on a jump.
	proofs = 3
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
	back    bool   // mark was set back by more than little, and the engine does not know yet
	rewound int64  // to which time it was last, so that the engine knew
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
		// The lines of a host whose clock is behind set it back again and again:
		// that must not cost much.
		if c.mark-t > little && (t < c.rewound || t >= c.rewound+rest) {
			c.back, c.rewound = true, t
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
