package ban

import (
	"cmp"
	"net/netip"
	"slices"
)

// SetBudget sets how many entries this book may have; 0 is no limit. If there
// are more at a Tick, the solver's price of an entry is raised, for all of its
// bans at once, until they fit: offenders that lie close together then share an
// entry although that covers more addresses that did not offend, but never
// where the rungs do not allow it. The price stays up until there are less
// than half as many entries as the budget has.
//
// What does not fit even so ends: the bans with the fewest knocks first, of
// those the ones that end first. Their members are on parole. Manual bans count
// but do not end; a quarter of the budget is left to the others in any case.
func (b *Book) SetBudget(n int) {
	b.budget = n
	b.relax()
}

// room is how many entries the bans of the solver may have.
func (b *Book) room() int { return max(b.budget-b.pins, b.budget/4, 1) }

func (b *Book) solved() int { return b.bans.Len() - b.pins }

func (b *Book) over() bool { return b.budget > 0 && b.solved() > b.room() }

// relax goes back to the configured prices when there is room.
func (b *Book) relax() {
	if b.budget <= 0 || 2*b.solved() < b.room() {
		b.four.raise(0)
		b.six.raise(0)
	}
}

// squeeze brings the entries below the budget, with an eighth to spare so that
// it need not be done again at once.
func (b *Book) squeeze(now int64) {
	b.squeezes++
	room := b.room()
	var fours, sixes, exact int
	for p, x := range b.bans.All() {
		switch {
		case x.Pinned:
		case x.exact():
			exact++
		case p.Addr().Is4():
			fours++
		default:
			sixes++
		}
	}
	if n := fours + sixes; n > 0 {
		share := max(room-room/8-exact, 0)
		four := int(int64(share) * int64(fours) / int64(n))
		b.collapse(now, b.four, netip.PrefixFrom(netip.IPv4Unspecified(), 0), fours, four)
		b.collapse(now, b.six, netip.PrefixFrom(netip.IPv6Unspecified(), 0), sixes, share-four)
	}
	if b.over() {
		b.shed(now, room-room/64)
	}
}

// collapse covers all of a family with at most share entries, if it can be had.
func (b *Book) collapse(now int64, f family, all netip.Prefix, entries, share int) {
	if entries <= share {
		return
	}
	b.keys = b.keys[:0]
	for _, x := range b.bans.Subnets(all) {
		if !x.Pinned && !x.exact() {
			b.keys = appendKeys(b.keys, x)
		}
	}
	slices.SortFunc(b.keys, netip.Prefix.Compare)
	shields := b.shieldsIn(now, all, b.keys)
	pieces, price := f.within(b.keys, shields, share)
	b.reconcile(now, f, pieces, nil, shields)
	f.raise(price)
}

// shed ends the units that matter least until no more than room entries are
// left.
func (b *Book) shed(now int64, room int) {
	type unit struct {
		parts []*Ban
		knock uint64
	}
	var units []unit
	var site netip.Prefix
	for _, x := range b.Bans() {
		if x.Pinned || x.Site.IsValid() && x.Site == site {
			continue
		}
		site = x.Site
		u := unit{parts: b.parts(x)}
		for _, y := range u.parts {
			u.knock += y.Knocks + y.Earlier
		}
		units = append(units, u)
	}
	slices.SortFunc(units, func(u, v unit) int {
		x, y := u.parts[0], v.parts[0]
		return cmp.Or(cmp.Compare(u.knock, v.knock), cmp.Compare(x.Until, y.Until), compare(x, y))
	})
	for _, u := range units {
		if b.solved() <= room {
			return
		}
		b.dropped += uint64(len(u.parts))
		b.release(now, unitPrefix(u.parts[0]), u.parts, Dropped)
	}
}
