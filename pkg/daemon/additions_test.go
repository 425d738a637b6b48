package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"testing"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ledger"
)

// A list of additions that was written down in part is none: what stood before it
// stays, and what comes after it is not mixed with it.
func TestAdditionsInParts(t *testing.T) {
	at := func(n int) allow.Addition {
		return allow.Addition{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, byte(n)}), 32), Persist: true}
	}
	list := func(from, to int) (all []allow.Addition) {
		for i := from; i < to; i++ {
			all = append(all, at(i))
		}
		return all
	}
	for _, x := range []struct {
		name    string
		records []allowRecord
		want    []allow.Addition
		refused int
	}{
		{"all parts", []allowRecord{{list(0, 3), 0, true}, {list(3, 6), 3, true}, {list(6, 7), 6, false}}, list(0, 7), 0},
		{"of a daemon that wrote no parts", []allowRecord{{Additions: list(0, 5)}, {Additions: list(1, 3)}}, list(1, 3), 0},
		{"a crash after the first part", []allowRecord{{list(0, 3), 0, true}, {list(4, 6), 0, false}}, list(4, 6), 0},
		{"the first part is gone", []allowRecord{{list(0, 2), 0, false}, {list(3, 6), 3, true}, {list(6, 7), 6, false}}, list(0, 2), 2},
		{"one in the middle is gone", []allowRecord{{list(0, 2), 0, false}, {list(0, 3), 0, true}, {list(6, 7), 6, false}}, list(0, 2), 1},
	} {
		c := lone(t)
		c.list = c.d.collector().List()
		refused := 0
		for i := range x.records {
			text, err := json.Marshal(record{Allow: &x.records[i]})
			if err != nil {
				t.Fatal(err)
			}
			if c.read(t.Context(), text) != nil {
				refused++
			}
		}
		if got := c.d.collector().State().Additions; !slices.Equal(got, x.want) || refused != x.refused {
			t.Errorf("%s: %v, %d refused; want %v, %d", x.name, got, refused, x.want, x.refused)
		}
	}
}

// Parts make no room for others: without one of them the rest would take it off
// the allowlist.
func TestAdditionsWaitForDisk(t *testing.T) {
	c := lone(t)
	k := c.d.collector()
	var want []allow.Addition
	for i := range maxAllowed + 1 {
		a := allow.Addition{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, byte(i >> 8), byte(i), 1}), 32), Persist: true}
		if _, err := k.Add(a); err != nil {
			t.Fatal(err)
		}
		want = append(want, a)
	}
	state := c.d.o.State
	away := state + ".away"
	if err := os.Rename(state, away); err != nil { // nothing can be written
		t.Fatal(err)
	}
	c.noteAllow()
	for range 100 { // 10 MB of what need not be durable
		_ = c.d.ledger.Append(bytes.Repeat([]byte(" "), 100_000), false)
	}
	c.note(record{Resume: true}, true)
	if err := os.Rename(away, state); err != nil {
		t.Fatal(err)
	}
	if err := c.d.ledger.Close(); err != nil {
		t.Fatal(err)
	}
	again := lone(t)
	again.list = again.d.collector().List()
	l, err := ledger.Open(state, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := l.Recover(
		func(io.Reader) error { return errors.New("there is no snapshot") },
		func(text []byte) error { return again.read(t.Context(), text) }); err != nil {
		t.Fatal(err)
	}
	if got := again.d.collector().State().Additions; !slices.Equal(got, want) {
		t.Errorf("%d additions came back, want %d", len(got), len(want))
	}
}
