package source

import (
	"math"
	"time"
)

// slack is by how many seconds lines may stand out of order and still be seen
// as the same: two files are merged from so long before they touch, and a line
// is remembered for so long after.
const slack = 60

// timed delivers a file with a known start, and all that overlap it. A file
// that is far from the next is handed on as it is; only where two come near
// each other are lines looked at.
func (r *reader) timed(a *archive) error {
	for c := (&cursor{archive: a, time: a.start.Unix()}); ; {
		b, err := r.read(c.archive)
		if b == nil {
			return err
		}
		reached := c.time
		if r.nextTimed() >= 0 {
			reached = r.lastTime(c.time, b.Data)
		}
		if reached >= r.nextStart()-slack {
			m := &merger{reader: r, seen: newSeen(), clock: math.MinInt64, ended: math.MinInt64}
			c.block, c.after = b, b.Data
			if c, err = m.run(c); c == nil || err != nil {
				return err
			}
			continue
		}
		c.time = reached
		if err := r.deliver(b); err != nil {
			return err
		}
	}
}

// nextTimed is the place of the next file with a time in the queue, or -1.
func (r *reader) nextTimed() int {
	for i, a := range r.queue {
		if a.timed {
			return i
		}
	}
	return -1
}

// nextStart is when the next file begins, in Unix seconds; far away if none does.
func (r *reader) nextStart() int64 {
	if i := r.nextTimed(); i >= 0 {
		return r.queue[i].start.Unix()
	}
	return math.MaxInt64
}

// lastLook is how many lines at the end of a block are searched for a time.
const lastLook = 100

// lastTime is the time of the last line of data that has one, and never before
// the time that was reached earlier.
func (r *reader) lastTime(reached int64, data []byte) int64 {
	for range lastLook {
		if len(data) == 0 {
			break
		}
		var line []byte
		data, line = cutLastLine(data)
		if t, ok := r.o.Time(line, time.Unix(reached, 0)); ok {
			return max(reached, t.Unix())
		}
	}
	return reached
}

// A merger merges files as long as they are near each other.
type merger struct {
	*reader
	active []*cursor // in order of their start
	seen   *seen
	clock  int64  // the newest time delivered
	ended  int64  // the newest time of a file that has ended
	tail   []hash // the lines delivered in the clock's second
	out    *Block
}

// run merges from the cursor on. It returns the one file that is left when no
// other is near, or nil when all have ended.
func (m *merger) run(first *cursor) (*cursor, error) {
	m.active = []*cursor{first}
	if err := m.advance(first); err != nil {
		return nil, err
	}
	for {
		if err := m.join(); err != nil {
			return nil, err
		}
		c, until := m.pick()
		if c == nil {
			return nil, m.flush()
		}
		if m.alone(c) {
			return c, m.leave(c)
		}
		if err := m.enter(c); err != nil {
			return nil, err
		}
		for !c.ended && c.time <= until {
			if err := m.emit(c); err != nil {
				return nil, err
			}
			if err := m.advance(c); err != nil {
				return nil, err
			}
		}
		if c.ended {
			m.remove(c)
		}
	}
}

// join takes in the next files whose start has been reached. When no file is
// left, the next one joins if it is near: it may touch the last.
func (m *merger) join() error {
	for {
		near := m.clock + slack
		if len(m.active) > 0 {
			near = math.MaxInt64
			for _, c := range m.active {
				near = min(near, c.time)
			}
		}
		if m.nextStart() > near {
			return nil
		}
		i := m.nextTimed()
		a := m.queue[i]
		m.queue = append(m.queue[:i:i], m.queue[i+1:]...)
		c := &cursor{archive: a, time: a.start.Unix()}
		if err := m.advance(c); err != nil {
			return err
		}
		if !c.ended {
			m.active = append(m.active, c)
		}
	}
}

// pick chooses the file with the oldest line, the earlier one of equals, and
// says up to which time it may go on.
func (m *merger) pick() (c *cursor, until int64) {
	for _, a := range m.active {
		if c == nil || a.time < c.time {
			c = a
		}
	}
	until = m.nextStart() - 1
	if len(m.active) == 1 && c.time <= m.ended+slack {
		until = min(until, m.ended+slack) // then it may be alone
	}
	later := false
	for _, a := range m.active {
		switch {
		case a == c:
			later = true
		case later:
			until = min(until, a.time)
		default:
			until = min(until, a.time-1)
		}
	}
	return c, until
}

// alone says that no other file is near this one, or was.
func (m *merger) alone(c *cursor) bool {
	return len(m.active) == 1 && c.begun &&
		c.time > m.ended+slack &&
		(m.nextTimed() < 0 || m.lastTime(c.time, c.rest) < m.nextStart()-slack)
}

// enter is called before a file's lines are delivered. A file that begins when
// all before it have ended only touches them: it was rotated, and nothing is
// double but a second's lines that were copied at the seam.
func (m *merger) enter(c *cursor) error {
	if c.begun {
		return nil
	}
	c.begun = true
	if len(m.active) > 1 || c.time < m.clock {
		return nil
	}
	m.seen.reset()
	if c.time > m.clock {
		return nil
	}
	return m.skipSeam(c)
}
