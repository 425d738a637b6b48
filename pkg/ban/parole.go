package ban

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// maxParoled is how many clients may be on parole, about 15 MB of them; the
// units whose parole ends first are let go for more.
const maxParoled = 1 << 16

// A Parole is a unit that ended: one offence of a member and it runs again.
type Parole struct {
	Prefix  netip.Prefix // of the ban; the /64 of one in parts
	Until   int64        // when it is over
	Members []Member     // sorted
}

// A parole is all that are on it. A client is in one unit at most.
type parole struct {
	index prefix.Table[*Parole] // by member key
	due   queue[*Parole]
	units int
}

func (p *parole) init() {
	*p = parole{due: queue[*Parole]{live: func(x item[*Parole]) bool { return len(x.value.Members) > 0 }}}
}

// add puts a unit on parole. The members belong to the parole from then on.
func (p *parole) add(u *Parole) {
	for i := range u.Members {
		p.strike(u.Members[i].Key)
	}
	for i := range u.Members {
		p.index.Insert(u.Members[i].Key, u)
	}
	if len(u.Members) == 0 {
		return
	}
	p.units++
	p.due.push(u.Until, u.Prefix, u, p.units)
	for p.index.Len() > maxParoled {
		if x, ok := p.due.first(); ok {
			p.remove(x.value)
		}
	}
}

// next is when the first parole is over.
func (p *parole) next() (int64, bool) {
	x, ok := p.due.first()
	return x.at, ok
}

// expire ends the paroles that are over.
func (p *parole) expire(now int64) {
	for {
		x, ok := p.due.first()
		if !ok || x.at > now {
			return
		}
		p.remove(x.value)
	}
}

// remove lets a unit go.
func (p *parole) remove(u *Parole) {
	for i := range u.Members {
		p.index.Delete(u.Members[i].Key)
	}
	u.Members = nil
	p.units--
}

// revoke takes all members inside of q off parole: they are banned again, or
// were forgiven.
func (p *parole) revoke(q netip.Prefix) {
	if p.units == 0 {
		return
	}
	var keys []netip.Prefix
	for key := range p.index.Subnets(q) {
		keys = append(keys, key)
	}
	for _, key := range keys {
		p.strike(key)
	}
}

// strike takes one member off parole.
func (p *parole) strike(key netip.Prefix) {
	u, ok := p.index.Get(key)
	if !ok {
		return
	}
	p.index.Delete(key)
	u.Members = slices.DeleteFunc(u.Members, func(m Member) bool { return m.Key == key })
	if len(u.Members) == 0 {
		p.units--
	}
}

// of returns the unit on parole that has this member, nil if none has.
func (p *parole) of(key netip.Prefix, now int64) *Parole {
	u, ok := p.index.Get(key)
	if !ok || now >= u.Until {
		return nil
	}
	return u
}

func (p *parole) state() []Parole {
	var all []Parole
	for key, u := range p.index.All() {
		if u.Members[0].Key == key {
			all = append(all, Parole{u.Prefix, u.Until, slices.Clone(u.Members)})
		}
	}
	slices.SortFunc(all, func(a, b Parole) int {
		return cmp.Or(a.Prefix.Compare(b.Prefix), cmp.Compare(a.Until, b.Until), a.Members[0].Key.Compare(b.Members[0].Key))
	})
	return all
}
