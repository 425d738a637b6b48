package source

import (
	"bytes"
	"time"
)

// A cursor is a place in a file that is being merged.
type cursor struct {
	*archive
	block *Block   // what rest lies in, when it is a block of the pool
	buf   []byte   // what rest lies in otherwise
	rest  []byte   // from the current line on
	ends  []uint32 // of load, reused
	line  []byte   // the current line without its \n
	after []byte   // what follows the line
	time  int64    // the newest time up to the line, in Unix seconds
	begun bool     // a line of it has been delivered
	ended bool
}

// cursorBuffer is how much of each file is held while it is merged, in bytes.
const cursorBuffer = 256 << 10

// advance goes to the next line.
func (m *merger) advance(c *cursor) error {
	if c.rest = c.after; len(c.rest) == 0 {
		if err := m.load(c); err != nil || c.ended {
			return err
		}
	}
	c.line, c.after = cutLine(c.rest)
	if t, ok := m.o.Time(c.line, time.Unix(c.time, 0)); ok {
		c.time = max(c.time, t.Unix())
	}
	return nil
}

func (m *merger) load(c *cursor) error {
	if c.block != nil {
		c.block.Release()
		c.block = nil
	}
	if c.buf == nil {
		c.buf = make([]byte, max(m.o.MaxLine+1, min(m.o.Block, cursorBuffer)))
	}
	var err error
	c.rest, err = m.next(c.archive, c.buf)
	c.ended = c.rest == nil
	c.ends = lineEnds(c.ends[:0], c.rest)
	c.stats.Lines += uint64(len(c.ends))
	return err
}

// leave delivers the rest of what the cursor holds as it is.
func (m *merger) leave(c *cursor) error {
	if err := m.flush(); err != nil {
		return err
	}
	b := c.block
	if b == nil {
		var err error
		if b, err = m.pool.get(m.ctx); err != nil {
			return err
		}
		c.rest = append(b.buf[:0], c.rest...)
	}
	b.hold(c.rest)
	m.label(b, c.archive)
	c.block, c.rest, c.line, c.after = nil, nil, nil, nil
	return m.deliver(b)
}

// emit delivers the current line, unless another file has done so already.
func (m *merger) emit(c *cursor) error {
	if c.time > m.clock {
		m.clock, m.tail = c.time, m.tail[:0]
	}
	h := m.seen.hash(c.line)
	if !m.seen.add(h, c.index, c.time) {
		c.stats.Duplicates++
		return nil
	}
	m.tail = append(m.tail, h)
	if m.out != nil && len(m.out.Data)+len(c.line) >= len(m.out.buf) {
		if err := m.flush(); err != nil {
			return err
		}
	}
	if m.out == nil {
		b, err := m.pool.get(m.ctx)
		if err != nil {
			return err
		}
		b.Data = b.buf[:0]
		m.label(b, c.archive)
		b.FileLine = 0
		m.out = b
	}
	m.out.Data = append(append(m.out.Data, c.line...), '\n')
	m.out.Ends = append(m.out.Ends, uint32(len(m.out.Data)-1))
	return nil
}

// flush delivers what has been merged.
func (m *merger) flush() error {
	b := m.out
	if b == nil {
		return nil
	}
	m.out = nil
	return m.deliver(b)
}

// remove takes out a file that has ended.
func (m *merger) remove(c *cursor) {
	for i, a := range m.active {
		if a == c {
			m.active = append(m.active[:i], m.active[i+1:]...)
			break
		}
	}
	m.ended = max(m.ended, c.time)
}

// skipSeam skips the lines at the head of a file that only repeat the last
// lines delivered, all of the clock's second.
func (m *merger) skipSeam(c *cursor) error {
	var head []hash
	for rest := c.rest; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		if t, ok := m.o.Time(line, time.Unix(c.time, 0)); ok && t.Unix() > m.clock {
			break
		}
		head = append(head, m.seen.hash(line))
	}
	n := overlap(m.tail, head)
	c.stats.Duplicates += uint64(n)
	for range n {
		if err := m.advance(c); err != nil {
			return err
		}
	}
	return nil
}

// overlap is the length of the longest end of a that is a beginning of b.
func overlap(a, b []hash) int {
	a = a[max(0, len(a)-len(b)):]
	// fail[i] is the length of the longest proper end of b[:i+1] that is a
	// beginning of b (Knuth, Morris, Pratt).
	fail := make([]int, len(b))
	step := func(n int, h hash) int {
		for n > 0 && (n == len(b) || b[n] != h) {
			n = fail[n-1]
		}
		if n < len(b) && b[n] == h {
			n++
		}
		return n
	}
	n := 0
	for i := 1; i < len(b); i++ {
		n = step(n, b[i])
		fail[i] = n
	}
	n = 0
	for _, h := range a {
		n = step(n, h)
	}
	return n
}

// cutLastLine splits the last line off, without its \n.
func cutLastLine(data []byte) (before, line []byte) {
	data = bytes.TrimSuffix(data, newline)
	i := bytes.LastIndexByte(data, '\n') + 1
	return data[:i], data[i:]
}
