package source

import (
	"context"
	"io"
)

// An interruptible reads a stream whose Read nobody can interrupt, such as a
// terminal or a pipe, and gives up when its context ends.
// A read that hangs then hangs on in its goroutine, with a buffer of its own,
// until the stream says something or the process ends.
type interruptible struct {
	ctx    context.Context
	r      io.Reader
	buf    []byte
	rest   []byte // read and not yet handed out
	err    error
	result chan readResult // nil until the first read; capacity 1
}

type readResult struct {
	n   int
	err error
}

func newInterruptible(ctx context.Context, r io.Reader) *interruptible {
	return &interruptible{ctx: ctx, r: r, buf: make([]byte, 64<<10), result: make(chan readResult, 1)}
}

func (i *interruptible) Read(p []byte) (int, error) {
	if len(i.rest) == 0 && i.err == nil {
		go func() {
			n, err := i.r.Read(i.buf)
			i.result <- readResult{n, err}
		}()
		select {
		case <-i.ctx.Done():
			// The buffer is the hanging read's now.
			i.err = context.Cause(i.ctx)
		case got := <-i.result:
			i.rest, i.err = i.buf[:got.n], got.err
		}
	}
	if len(i.rest) > 0 {
		n := copy(p, i.rest)
		i.rest = i.rest[n:]
		return n, nil
	}
	return 0, i.err
}
