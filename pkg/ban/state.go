package ban

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// State is everything a Book knows.
type State struct {
	Clock          int64
	Bans, Hidden   []*Ban // sorted
	Parole         []Parole
	History        []Past
	Spared         []Spared
	Before         []Before // what changed since the last Flush
	Ended          []Spell
	Price4, Price6 int64
	Budget         int

	Squeezes, Dropped, Refused, Held uint64
}

// Spared is a prefix that was unbanned.
type Spared struct {
	Prefix netip.Prefix
	Until  int64
}

// Before is the entry that a prefix had at the last Flush, which is the zero
// Entry if it had none.
type Before struct {
	Prefix netip.Prefix
	Entry  Entry
}

// Restore takes over a state, which is the book's from then on, its bans too.
// The book must be new, and allowlist and known good senders those of the time
// of the state or later ones: bans that hold something of the allowlist are
// carved. Prices above the configured ones, and the budget, are taken over;
// options may have changed otherwise.
func (b *Book) Restore(s State) error {
	if err := s.check(b); err != nil {
		return fmt.Errorf("restore bans: %w", err)
	}
	b.clock, b.budget = s.Clock, s.Budget
	b.squeezes, b.dropped, b.refused, b.held = s.Squeezes, s.Dropped, s.Refused, s.Held
	b.four.raise(s.Price4)
	b.six.raise(s.Price6)
	b.due.items = make([]item[*Ban], 0, len(s.Bans)+len(s.Hidden))
	for i, x := range s.Bans {
		x.Door = b.door
		if x.Pinned {
			b.pins++
		}
		b.bans.Insert(x.Prefix, x)
		b.version++
		b.due.push(x.Until, x.Prefix, x, i)
	}
	for _, x := range s.Hidden {
		x.Door, x.hidden = b.door, true
		b.hidden = append(b.hidden, x)
		b.due.push(x.Until, x.Prefix, x, b.bans.Len()+len(b.hidden))
	}
	for _, u := range s.Parole {
		b.parole.add(&u)
	}
	for _, p := range s.History {
		b.history.past[p.Key] = mark{p.Level, p.End}
		b.history.oldest.push(p.End, p.Key, struct{}{}, len(b.history.past))
	}
	for _, q := range s.Spared {
		b.spared.Insert(q.Prefix, q.Until)
	}
	b.touched = map[netip.Prefix]Entry{}
	for _, t := range s.Before {
		b.touched[t.Prefix] = t.Entry
	}
	b.ended = s.Ended
	b.freed = true
	b.obey()
	return nil
}

// obey carves the bans that hold something that the allowlist of now holds.
func (b *Book) obey() {
	var holes []netip.Prefix
	look := func(x *Ban) {
		if b.allow.Overlaps(x.Prefix) {
			holes = append(holes, x.Prefix)
		}
	}
	for _, x := range b.bans.All() {
		look(x)
	}
	for _, x := range b.hidden {
		look(x)
	}
	for _, h := range holes {
		for _, x := range b.pinsAt(h) {
			if not := b.allow.Within(x.Prefix); len(not) > 0 {
				b.carvePin(b.clock, x, not)
			}
		}
	}
	b.carve(b.clock, holes)
	b.leave(b.clock)
}

func (s *State) check(b *Book) error {
	if b.bans.Len() > 0 || len(b.hidden) > 0 {
		return errors.New("the book is not new")
	}
	if s.Price4 < 0 || s.Price6 < 0 || s.Price4 > 1<<56 || s.Price6 > 1<<56 {
		return errors.New("impossible price")
	}
	for i, x := range s.Bans {
		if err := x.check(); err != nil {
			return err
		}
		if i > 0 && (compare(s.Bans[i-1], x) >= 0 || s.Bans[i-1].Prefix.Overlaps(x.Prefix)) {
			return fmt.Errorf("ban %s is out of order or overlaps the one before", x.Prefix)
		}
	}
	for i, x := range s.Hidden {
		if err := x.check(); err != nil {
			return err
		}
		if !x.Pinned || i > 0 && compare(s.Hidden[i-1], x) >= 0 {
			return fmt.Errorf("hidden ban %s is out of order or not pinned", x.Prefix)
		}
	}
	for i := range s.Parole {
		u := &s.Parole[i]
		if !sound(u.Prefix) || len(u.Members) == 0 {
			return fmt.Errorf("parole of %s has no members or no prefix", u.Prefix)
		}
		if err := checkMembers(u.Members); err != nil {
			return fmt.Errorf("parole of %s: %w", u.Prefix, err)
		}
	}
	for i, p := range s.History {
		if !isKey(p.Key) || !sound(p.Key) || p.Level < 0 || i > 0 && s.History[i-1].Key.Compare(p.Key) >= 0 {
			return fmt.Errorf("history of %s is out of order or impossible", p.Key)
		}
	}
	for i, q := range s.Spared {
		if !sound(q.Prefix) || i > 0 && s.Spared[i-1].Prefix.Compare(q.Prefix) >= 0 {
			return fmt.Errorf("unbanned %s is out of order or no prefix", q.Prefix)
		}
	}
	for i, t := range s.Before {
		if !sound(t.Prefix) || t.Entry.Prefix.IsValid() && t.Entry.Prefix != t.Prefix ||
			i > 0 && s.Before[i-1].Prefix.Compare(t.Prefix) >= 0 {
			return fmt.Errorf("entry of %s is out of order or impossible", t.Prefix)
		}
	}
	for i := range s.Ended {
		if err := s.Ended[i].Ban.check(); err != nil {
			return err
		}
	}
	return nil
}

// sound says whether p is as package prefix would have it.
func sound(p netip.Prefix) bool { return p.IsValid() && prefix.Canonical(p) == p }

func (b *Ban) check() error {
	if !sound(b.Prefix) {
		return fmt.Errorf("ban of %s, which is no prefix", b.Prefix)
	}
	if b.Until < b.From || b.Deadline < b.Until || b.Level < 0 {
		return fmt.Errorf("ban of %s has impossible times or level", b.Prefix)
	}
	if b.Site.IsValid() && (!sound(b.Site) || b.Site.Bits() != 64 || !prefix.Covers(b.Site, b.Prefix)) {
		return fmt.Errorf("ban of %s is part of %s", b.Prefix, b.Site)
	}
	for i := range b.Members {
		if !prefix.Covers(b.Prefix, b.Members[i].Key) {
			return fmt.Errorf("ban of %s has the member %s", b.Prefix, b.Members[i].Key)
		}
	}
	if err := checkMembers(b.Members); err != nil {
		return fmt.Errorf("ban of %s: %w", b.Prefix, err)
	}
	return nil
}

func checkMembers(ms []Member) error {
	for i := range ms {
		if k := ms[i].Key; !isKey(k) || !sound(k) || ms[i].Level < 0 || i > 0 && ms[i-1].Key.Compare(k) >= 0 {
			return fmt.Errorf("member %s is out of order or no client", k)
		}
	}
	return nil
}
