//go:build linux

package iptables

import (
	"errors"
	"fmt"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
)

// makeRoom lets a set grow when it might not take n more.
func (b *Backend) makeRoom(s set, n int) error {
	st := b.sets[s]
	if st.most+n <= st.max {
		return nil
	}
	headers, err := b.headers()
	if err != nil {
		return err
	}
	if h, ok := headers[s.name(b.o.Owner)]; ok {
		st.most, st.max = h.entries, h.max()
	}
	// The kernel counts entries that have ended until it comes by to collect
	// them: so there has to be more room than this.
	if st.most+n <= st.max/2 {
		return nil
	}
	return b.grow(s, ceil2(2*(st.most+n)))
}

// grow puts a larger set with the same entries in the place of a set.
func (b *Backend) grow(s set, most int) error {
	if most > maxMax {
		return &firewall.Error{Backend: name, Op: "apply", Kind: firewall.ErrSetFull,
			Err: fmt.Errorf("set %s: more than %d entries", s.name(b.o.Owner), maxMax), Hint: "Lower collapse.budget."}
	}
	var fill, put script
	if err := b.copy(&fill, s, 0, most); err != nil {
		return err
	}
	if err := b.feed(&fill); err != nil {
		return errors.Join(err, b.discard())
	}
	put.swap(s, b.o.Owner)
	if err := b.feed(&put); err != nil {
		return err
	}
	b.sets[s].max = most
	return nil
}

// copy makes a set aside with what a set holds, and room for n more. What has no
// end, which only a foreign hand can have put there, is left out.
func (b *Backend) copy(fill *script, s set, n, most int) error {
	held, err := b.members(s)
	if err != nil {
		return err
	}
	aside := s.aside(b.o.Owner)
	fill.create(s, aside, len(held)+n, most)
	for _, m := range held {
		if m.seconds > 0 && m.belongs(s) {
			fill.carry(aside, m)
		}
	}
	return nil
}

// enlarge lets the sets that a change adds to grow.
func (b *Backend) enlarge(c ban.Change) error {
	full := make(map[set]bool)
	for _, list := range [][]ban.Entry{c.Add, c.Refresh} {
		for _, e := range list {
			full[setOf(e)] = true
		}
	}
	for s := range full {
		if err := b.grow(s, 2*b.sets[s].max); err != nil {
			return err
		}
	}
	return nil
}

// discard destroys what was filled aside.
func (b *Backend) discard() error {
	headers, err := b.headers()
	if err != nil {
		return err
	}
	var away script
	for _, s := range allSets() {
		if _, ok := headers[s.aside(b.o.Owner)]; ok {
			away.word("destroy ", s.aside(b.o.Owner))
		}
	}
	return b.feed(&away)
}
