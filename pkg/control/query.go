package control

import (
	"cmp"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// A Query chooses and orders bans. The zero Query is for all of them.
type Query struct {
	Door   string // "smtp" or "login"; "": all
	Prefix string // bans that hold this prefix or address, or lie inside of it
	State  string // see [daemon.Held]
	Sort   string // one of [Sorts]; "": by prefix
}

// sorts are the orders in which bans can be listed.
var sorts = map[string]func(a, b *daemon.Held) int{
	"prefix":  func(_, _ *daemon.Held) int { return 0 },
	"newest":  func(a, b *daemon.Held) int { return cmp.Compare(b.From, a.From) },
	"ends":    func(a, b *daemon.Held) int { return cmp.Compare(a.Until, b.Until) },
	"knocks":  func(a, b *daemon.Held) int { return cmp.Compare(b.Knocks, a.Knocks) },
	"members": func(a, b *daemon.Held) int { return cmp.Compare(len(b.Members), len(a.Members)) },
	"level":   func(a, b *daemon.Held) int { return cmp.Compare(b.Level, a.Level) },
}

// Sorts are the orders in which bans can be listed: by prefix, the newest
// first, those that end soonest, those with most knocks, members or repeats.
func Sorts() []string { return slices.Sorted(maps.Keys(sorts)) }

// states are those of [daemon.Held].
var states = []string{"in force", "waiting", "hidden", "dry run"}

// Check says what is wrong with the query, as the daemon would.
func (q Query) Check() error {
	_, err := parseQuery(q.values())
	return err
}

// values are the query as it stands in an address.
func (q Query) values() url.Values {
	v := url.Values{}
	for name, x := range map[string]string{"door": q.Door, "prefix": q.Prefix, "state": q.State, "sort": q.Sort} {
		if x != "" {
			v.Set(name, x)
		}
	}
	return v
}

// A chosen is a query that was understood.
type chosen struct {
	door, state string
	prefix      netip.Prefix // zero: all
	order       func(a, b *daemon.Held) int
}

func parseQuery(v url.Values) (chosen, error) {
	c := chosen{order: sorts["prefix"]}
	for name, values := range v {
		if len(values) != 1 {
			return c, bad("more than one "+word(name), "")
		}
		x := values[0]
		switch name {
		case "door":
			if x != "smtp" && x != "login" {
				return c, bad("no door "+word(x), "write smtp or login")
			}
			c.door = x
		case "state":
			if !slices.Contains(states, x) {
				return c, bad("no state "+word(x), "write one of: "+strings.Join(states, ", "))
			}
			c.state = x
		case "prefix":
			p, err := network(x)
			if err != nil {
				return c, err
			}
			c.prefix = p
		case "sort":
			order, ok := sorts[x]
			if !ok {
				return c, bad("no order "+word(x), "write one of: "+strings.Join(Sorts(), ", "))
			}
			c.order = order
		default:
			return c, bad("no parameter "+word(name), "write door, prefix, state or sort")
		}
	}
	return c, nil
}

// choose returns what was asked for, by the order and then by prefix and door.
func (c *chosen) choose(held []daemon.Held) []*daemon.Held {
	var out []*daemon.Held
	for i := range held {
		h := &held[i]
		if c.door != "" && h.Door.String() != c.door || c.state != "" && h.State != c.state {
			continue
		}
		if c.prefix.IsValid() && !c.touches(h.Prefix) {
			continue
		}
		out = append(out, h)
	}
	slices.SortFunc(out, func(a, b *daemon.Held) int {
		return cmp.Or(c.order(a, b), a.Prefix.Compare(b.Prefix), cmp.Compare(a.Door, b.Door))
	})
	return out
}

func (c *chosen) touches(p netip.Prefix) bool {
	return prefix.Covers(p, c.prefix) || prefix.Covers(c.prefix, p)
}
