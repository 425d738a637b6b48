package rule

import (
	"cmp"
	"math"
	"net/netip"
	"slices"

	"github.com/postmoat/postmoat/pkg/prefix"
)

// A plan finds the rules of a cell that match an event without trying each:
// every rule is filed under its most telling field, by text, number or
// prefix; only the rules found there have their other fields compared.
type plan struct {
	always  []*Rule // those with nothing to ask (session-rules)
	texts   []*textIndex
	numbers []*numberIndex
	clients *prefix.Table[*clientNode]
}

// A posting is a value that has to be compared, and the rules filed under it.
type posting struct {
	pred  int
	rules []*Rule
}

type textIndex struct {
	field field
	empty []*Rule // ""
	some  []*Rule // "?*"
	exact map[string][]*Rule
	heads ladder
	tails ladder
	globs []posting // no literal text at either end
}

type numberIndex struct {
	field  field
	exact  map[uint32][]*Rule
	ranges []posting
}

// A clientNode is a prefix of a rule; up is the next wider one that holds it.
type clientNode struct {
	prefix netip.Prefix
	rules  []*Rule
	up     *clientNode
}

// ladderLengths are the lengths to which the literal ends of globs are cut to
// be hashed: few enough to look each of them up.
var ladderLengths = [...]int{1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}

// A ladder finds globs by a literal text at one end.
type ladder struct {
	used  [len(ladderLengths)]bool
	globs map[uint64][]posting
}

func (s *Set) newPlan(rules []*Rule) *plan {
	use := map[int]int{}
	for _, r := range rules {
		for _, c := range r.conds {
			for _, p := range c.preds {
				use[p]++
			}
		}
	}
	filed := map[int][]*Rule{}
	p := &plan{}
	for _, r := range rules {
		best, cost := -1, math.MaxInt
		for i, c := range r.conds {
			if n := s.cost(c, use); n < cost {
				best, cost = i, n
			}
		}
		if best < 0 {
			p.always = append(p.always, r)
			continue
		}
		for _, id := range r.conds[best].preds {
			filed[id] = append(filed[id], r)
		}
	}
	ids := make([]int, 0, len(filed))
	for id := range filed {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	nodes := map[netip.Prefix]*clientNode{}
	for _, id := range ids {
		q := &s.preds[id]
		switch {
		case q.field < numTexts:
			p.text(q.field).file(&q.glob, posting{id, filed[id]})
		case q.field == fieldClient:
			nodes[q.prefix] = &clientNode{prefix: q.prefix, rules: filed[id]}
		default:
			p.number(q.field).file(q, posting{id, filed[id]})
		}
	}
	p.clients = clientTable(nodes)
	return p
}

// cost is how many rules a look-up by this field is likely to find in vain;
// values that have to be tried one after the other cost more.
func (s *Set) cost(c cond, use map[int]int) int {
	n := 0
	for _, id := range c.preds {
		p := &s.preds[id]
		n += 4 * use[id]
		switch {
		case c.field == fieldClient:
		case c.field >= numTexts && p.lo != p.hi:
			n += 64
		case c.field < numTexts && p.glob.some:
			n += 16
		case c.field < numTexts && !p.glob.exact:
			n += 2
			if p.glob.head() == "" && p.glob.tail() == "" {
				n += 256
			}
		}
	}
	return n
}

func (p *plan) text(f field) *textIndex {
	for _, t := range p.texts {
		if t.field == f {
			return t
		}
	}
	t := &textIndex{field: f, exact: map[string][]*Rule{}}
	p.texts = append(p.texts, t)
	return t
}

func (t *textIndex) file(g *glob, x posting) {
	switch {
	case g.text == "":
		t.empty = x.rules
	case g.some:
		t.some = x.rules
	case g.exact:
		t.exact[g.text] = x.rules
	case len(g.head()) >= len(g.tail()) && g.head() != "":
		t.heads.file(g.head(), false, x)
	case g.tail() != "":
		t.tails.file(g.tail(), true, x)
	default:
		t.globs = append(t.globs, x)
	}
}

func (l *ladder) file(end string, tail bool, x posting) {
	i := len(ladderLengths) - 1
	for ladderLengths[i] > len(end) {
		i--
	}
	l.used[i] = true
	h := uint64(fnvOffset)
	for j := range ladderLengths[i] {
		c := end[j]
		if tail {
			c = end[len(end)-1-j]
		}
		h = (h ^ uint64(c)) * fnvPrime
	}
	if l.globs == nil {
		l.globs = map[uint64][]posting{}
	}
	l.globs[h] = append(l.globs[h], x)
}

func (p *plan) number(f field) *numberIndex {
	for _, n := range p.numbers {
		if n.field == f {
			return n
		}
	}
	n := &numberIndex{field: f, exact: map[uint32][]*Rule{}}
	p.numbers = append(p.numbers, n)
	return n
}

func (n *numberIndex) file(q *pred, x posting) {
	if q.lo == q.hi {
		n.exact[q.lo] = x.rules
		return
	}
	n.ranges = append(n.ranges, x)
}

// clientTable files prefixes, each with the one that holds it.
func clientTable(nodes map[netip.Prefix]*clientNode) *prefix.Table[*clientNode] {
	if len(nodes) == 0 {
		return nil
	}
	sorted := make([]*clientNode, 0, len(nodes))
	for _, n := range nodes {
		sorted = append(sorted, n)
	}
	// A wider prefix comes before all that it holds.
	slices.SortFunc(sorted, func(a, b *clientNode) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	t := new(prefix.Table[*clientNode])
	var open []*clientNode
	for _, n := range sorted {
		for len(open) > 0 && !open[len(open)-1].prefix.Contains(n.prefix.Addr()) {
			open = open[:len(open)-1]
		}
		if len(open) > 0 {
			n.up = open[len(open)-1]
		}
		open = append(open, n)
		t.Insert(n.prefix, n)
	}
	return t
}
