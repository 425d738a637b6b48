package ban

import (
	"bytes"
	"slices"
	"testing"

	"github.com/postmoat/postmoat/pkg/wire"
)

// This file shows a Book and a Breaker as plain values, so that tests can
// compare them.

// State returns what the book knows.
func (b *Book) State() State {
	s := State{
		Clock: b.clock, Parole: b.parole.state(), History: b.history.state(), Budget: b.budget,
		Squeezes: b.squeezes, Dropped: b.dropped, Refused: b.refused, Held: b.held,
	}
	s.Price4, _ = b.four.price()
	s.Price6, _ = b.six.price()
	for _, x := range b.bans.All() {
		c := x.copy()
		s.Bans = append(s.Bans, &c)
	}
	for _, x := range b.hidden {
		c := x.copy()
		s.Hidden = append(s.Hidden, &c)
	}
	for q, end := range b.spared.All() {
		s.Spared = append(s.Spared, Spared{q, end})
	}
	for p, e := range b.touched {
		s.Before = append(s.Before, Before{p, e})
	}
	slices.SortFunc(s.Before, func(x, y Before) int { return x.Prefix.Compare(y.Prefix) })
	for _, x := range b.ended {
		x.Ban = x.Ban.copy()
		s.Ended = append(s.Ended, x)
	}
	return s
}

func (b *Ban) copy() Ban {
	c := *b
	c.Members = slices.Clone(b.Members)
	c.dead, c.hidden = false, false
	return c
}

// State returns what the breaker knows.
func (k *Breaker) State() BreakerState {
	return BreakerState{slices.Clone(k.covered), slices.Clone(k.met), k.from, k.until, k.trips}
}

// A coder writes and reads its state: a Book or a Breaker.
type coder interface {
	Encode(*wire.Writer)
	Decode(*wire.Reader) error
}

func encoded(t testing.TB, c coder) []byte {
	t.Helper()
	var b bytes.Buffer
	w := wire.NewWriter(&b)
	c.Encode(w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func decoded(c coder, b []byte) error {
	r := wire.NewReader(bytes.NewReader(b))
	if err := c.Decode(r); err != nil {
		return err
	}
	return r.Close()
}
