package daemon

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postmoat/postmoat/pkg/source"
)

// What may wait for the core: then sources have to wait too, and the lines
// stay in their files.
const (
	maxText  = 1 << 20 // bytes
	maxLines = 8192
)

// A line is one line that waits for the core.
type line struct {
	feed *feed // that it is from
	seq  uint64
	from int // of its text in that of the batch
	to   int
	old  bool
	read time.Time
}

// A batch is what the core takes in one go: lines first, then calls.
type batch struct {
	text  []byte
	lines []line
	calls []*call
}

// A call is something the core is asked to do.
type call struct {
	fn    func()
	state atomic.Uint32
	done  chan struct{} // closed when it is over, one way or the other
}

// The states of a call.
const (
	asked  uint32 = iota
	begun         // the core is at it, or has done it
	gaveUp        // nobody waits for it any more: it is not carried out
)

// carryOut does what was asked, unless who asked has given up.
func (k *call) carryOut() {
	defer close(k.done)
	if k.state.CompareAndSwap(asked, begun) {
		k.fn()
	}
}

// An inbox is the one way to the goroutine that owns the core. Two batches
// take turns: one is filled while the other is worked off.
type inbox struct {
	wake chan struct{} // something is there

	mu     sync.Mutex
	room   sync.Cond
	filled *batch
	spare  *batch
	closed bool
}

func newInbox() *inbox {
	in := &inbox{wake: make(chan struct{}, 1), filled: new(batch), spare: new(batch)}
	in.room.L = &in.mu
	return in
}

// put hands over a line, which is copied. It waits while there is no room, and
// says false once the inbox is closed.
func (in *inbox) put(f *feed, l source.Line, now time.Time) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	for !in.closed && len(in.filled.lines) > 0 && (len(in.filled.text)+len(l.Text) > maxText || len(in.filled.lines) >= maxLines) {
		in.room.Wait()
	}
	if in.closed {
		return false
	}
	b := in.filled
	from := len(b.text)
	b.text = append(b.text, l.Text...)
	b.lines = append(b.lines, line{feed: f, seq: l.Seq, from: from, to: len(b.text), old: l.Old, read: now})
	f.next = l.Position
	in.ring()
	return true
}

// do has fn carried out by the core and waits for it. After an error, that of
// the context or ErrStopped, fn has not been carried out and never will be: who
// is told that nothing was done may rely on it, and what fn writes to is theirs
// again.
func (in *inbox) do(ctx context.Context, fn func()) error {
	k := &call{fn: fn, done: make(chan struct{})}
	if !in.ask(k) {
		return ErrStopped
	}
	select {
	case <-k.done:
	case <-ctx.Done():
		if k.state.CompareAndSwap(asked, gaveUp) {
			return ctx.Err()
		}
		<-k.done // it has begun
	}
	if k.state.Load() != begun {
		return ErrStopped
	}
	return nil
}

// later has fn carried out by the core and does not wait for it. It says false
// once the inbox is closed.
func (in *inbox) later(fn func()) bool {
	return in.ask(&call{fn: fn, done: make(chan struct{})})
}

func (in *inbox) ask(k *call) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.filled.calls = append(in.filled.calls, k)
	in.ring()
	return true
}

// ring wakes the core.
func (in *inbox) ring() {
	select {
	case in.wake <- struct{}{}:
	default:
	}
}

// take gives what has come. The batch before it may be filled again; the
// positions of the feeds are those behind its last lines.
func (in *inbox) take() *batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	b := in.filled
	in.spare.text, in.spare.lines, in.spare.calls = in.spare.text[:0], in.spare.lines[:0], nil
	in.filled, in.spare = in.spare, b
	var last *feed
	for i := range b.lines {
		if f := b.lines[i].feed; f != last {
			f.place, last = f.next, f
		}
	}
	in.room.Broadcast()
	return b
}

// empty says whether nothing waits.
func (in *inbox) empty() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.filled.lines) == 0
}

func (in *inbox) isClosed() bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closed
}

// position is the place behind the newest line of a feed.
func (in *inbox) position(f *feed) source.Position {
	in.mu.Lock()
	defer in.mu.Unlock()
	return f.next
}

// close lets nothing more in. What is in it can still be taken.
func (in *inbox) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.room.Broadcast()
}

// abandon closes the inbox and sends away who still waits: there is no core, or
// there never was one.
func (in *inbox) abandon() {
	in.close()
	for _, k := range in.take().calls {
		k.state.CompareAndSwap(asked, gaveUp)
		close(k.done)
	}
}
