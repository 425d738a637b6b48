package engine

import (
	"errors"
	"fmt"
	"io"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/wire"
)

// stateVersion changes when an older state can't be read any more.
const stateVersion = 5

// magic is how a state begins, so that no other file is taken for one.
const magic = "postmoat state\n"

// Encode writes the whole state of the engine, straight from its tables: it
// takes a small part of the engine's memory more. The same state gives the
// same bytes.
func (e *Engine) Encode(w io.Writer) error {
	x := wire.NewWriter(w)
	x.String(magic)
	x.Uint(stateVersion)
	e.front.clock.encode(x)
	x.Int(e.swept)
	x.Uint(e.spare)
	e.front.joiner.Encode(x)
	e.good.Encode(x)
	e.breaker.Encode(x)
	x.Uint(uint64(len(e.tables)))
	for d := range e.tables {
		e.tables[d].Encode(x)
		e.books[d].Encode(x)
	}
	if err := x.Close(); err != nil {
		return fmt.Errorf("encode state: %w", err)
	}
	return nil
}

// Restore takes over a state that Encode wrote. The engine must be new and
// its sources declared; its options may differ from those of the engine that
// was encoded: evidence of windows and rules that are gone is dropped. After
// an error the engine must not be used.
func (e *Engine) Restore(r io.Reader) error {
	if err := e.decode(wire.NewReader(r)); err != nil {
		return fmt.Errorf("decode state: %w", err)
	}
	e.next = e.wake(e.front.clock.mark)
	e.roll.clear()
	return nil
}

func (e *Engine) decode(r *wire.Reader) error {
	if r.String(len(magic)) != magic {
		return errors.New("this is not a state of postmoat, or of an older version")
	}
	if v := r.Uint(); v != stateVersion {
		return fmt.Errorf("version %d, want %d", v, stateVersion)
	}
	e.front.clock.decode(r)
	e.swept = r.Int()
	e.spare = r.Uint()
	if err := e.front.joiner.Decode(r); err != nil {
		return err
	}
	if err := e.good.Decode(r); err != nil {
		return err
	}
	if err := e.breaker.Decode(r); err != nil {
		return err
	}
	if n := r.Uint(); n != uint64(len(e.tables)) {
		return fmt.Errorf("%d doors, want %d", n, len(e.tables))
	}
	for d := range e.tables {
		if err := e.tables[d].Decode(r); err != nil {
			return fmt.Errorf("door %s: %w", maillog.Door(d), err)
		}
		if err := e.books[d].Decode(r); err != nil {
			return fmt.Errorf("door %s: %w", maillog.Door(d), err)
		}
	}
	return r.Close()
}

func (c *clock) encode(w *wire.Writer) {
	w.Int(c.mark)
	w.Int(c.horizon)
	w.Uint(uint64(c.count))
	w.Int(c.last)
	w.Fixed32(c.pid)
	w.Bool(c.onePID)
	w.Bool(c.back)
	w.Int(c.top)
	w.Int(c.since)
	w.Uint(c.judged)
	w.Uint(c.Jumps)
	w.Uint(c.Dropped)
	w.Uint(c.Held)
}

func (c *clock) decode(r *wire.Reader) {
	*c = clock{
		mark: r.Int(), horizon: r.Int(), count: int(r.Upto(1 << 62)), last: r.Int(), pid: r.Fixed32(), onePID: r.Bool(),
		back: r.Bool(), top: r.Int(), since: r.Int(), judged: r.Uint(),
		Jumps: r.Uint(), Dropped: r.Uint(), Held: r.Uint(),
	}
}
