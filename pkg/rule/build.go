package rule

import (
	"encoding/binary"
	"slices"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// A kindTable is the decision table of one kind of line. Stages and reasons
// that no rule tells apart share a class, so that the table stays small.
type kindTable struct {
	stage   [maillog.NumStages]uint8
	reason  [maillog.NumReasons]uint8
	reasons int
	doors   bool // the door of the service matters
	cells   []cell
	// An event that has none of these numbers matches nothing; 0: it may.
	numbers numbers
}

// A cell is what is known of an event by its kind, stage, reason and door.
type cell struct {
	id    uint32
	door  maillog.Door
	rules []*Rule  // those that match without more ado
	base  Hits     // of rules
	plans [2]*plan // what else has to be asked: of all cells of the kind, and of this one
	// The plans ask for nothing but these numbers, of which an event mostly has
	// none.
	numbers numbers
	asked   *asked // what the plans found so far; nil: it is not remembered
	marks   bool   // a rule of the plans counts once a session
	last    *combo // that matched last
}

func (t *kindTable) at(stage maillog.Stage, reason maillog.Reason, door maillog.Door) *cell {
	return &t.cells[(int(t.stage[stage])*t.reasons+int(t.reason[reason]))*int(maillog.NumDoors)+int(door)]
}

// build makes the decision table of the rules.
func (s *Set) build() {
	s.memo = make([]uint64, len(s.preds))
	s.seen = make([]uint64, len(s.rules))
	s.hits = map[string]*Hit{}
	s.combos = map[uint64]*combo{}
	byKind := make([][]*Rule, maillog.NumKinds)
	var custom []*Rule
	for _, r := range s.rules {
		if r.pattern != nil {
			custom = append(custom, r)
		}
		for _, k := range r.kinds {
			byKind[k] = append(byKind[k], r)
		}
	}
	cells := uint32(1) // 0 is that of custom patterns
	plans := map[string]*plan{}
	for k, rules := range byKind {
		if len(rules) > 0 {
			s.kinds[k] = s.table(rules, plans, &cells)
		}
	}
	if len(custom) > 0 {
		s.custom = s.newPlan(custom)
	}
}

// table makes the table of one kind.
func (s *Set) table(rules []*Rule, plans map[string]*plan, id *uint32) *kindTable {
	t := &kindTable{}
	var stages, reasons []uint64
	for _, r := range rules {
		stages = append(stages, uint64(r.stages))
		reasons = append(reasons, r.reasons)
		t.doors = t.doors || r.doors != 0 || !r.fixed
	}
	nstages := classes(t.stage[:], stages)
	t.reasons = classes(t.reason[:], reasons)
	t.cells = make([]cell, nstages*t.reasons*int(maillog.NumDoors))

	var general []*Rule
	for _, r := range rules {
		if !r.plain() && !r.narrow() {
			general = append(general, r)
		}
	}
	shared := s.sharePlan(general, plans)
	session := func(r *Rule) bool { return r.PerSession }
	marks := slices.ContainsFunc(general, session)
	all := true              // cells ask for numbers alone
	for i := range t.cells { // each by the first stage and the first reason of its classes
		c := &t.cells[i]
		door := maillog.Door(i % int(maillog.NumDoors))
		class := i / int(maillog.NumDoors)
		stage := maillog.Stage(slices.Index(t.stage[:], uint8(class/t.reasons)))
		reason := maillog.Reason(slices.Index(t.reason[:], uint8(class%t.reasons)))
		c.id, c.door = *id, door
		*id++
		var own []*Rule
		for _, r := range rules {
			switch {
			case !r.fits(stage, reason, door):
			case r.plain():
				c.rules = append(c.rules, r)
			case r.narrow():
				own = append(own, r)
			}
		}
		c.base = s.compose(c.rules, door)
		c.plans = [2]*plan{shared, s.sharePlan(own, plans)}
		if c.plans[0] == nil {
			c.plans[0], c.plans[1] = c.plans[1], nil
		}
		c.numbers = onlyNumbers(c.plans[:])
		all = all && (c.numbers != 0 || c.plans[0] == nil) && c.base == Hits{}
		t.numbers |= c.numbers
		c.marks = marks || slices.ContainsFunc(own, session)
		c.asked = s.newAsked(own, general)
	}
	if !all {
		t.numbers = 0
	}
	return t
}

// onlyNumbers are those of plans that ask for nothing else, else none.
func onlyNumbers(plans []*plan) (ns numbers) {
	for _, p := range plans {
		if p == nil {
			continue
		}
		if len(p.always) > 0 || len(p.texts) > 0 || p.clients != nil {
			return 0
		}
		for _, n := range p.numbers {
			ns |= numberBit(n.field)
		}
	}
	return ns
}

// plain says that the cell decides alone.
func (r *Rule) plain() bool { return len(r.conds) == 0 && !r.PerSession }

// narrow says that the rule is not for all cells of its kinds.
func (r *Rule) narrow() bool { return r.stages != 0 || r.reasons != 0 || r.doors != 0 }

func (r *Rule) fits(s maillog.Stage, x maillog.Reason, d maillog.Door) bool {
	return (r.stages == 0 || r.stages>>s&1 != 0) && (r.reasons == 0 || r.reasons>>x&1 != 0) &&
		(r.doors == 0 || r.doors>>d&1 != 0)
}

// classes gives the same class to the values that no mask tells apart and
// says how many there are. An empty mask holds all.
func classes(class []uint8, masks []uint64) int {
	n := 1
	seen := map[uint64]bool{0: true}
	for _, m := range masks {
		if seen[m] {
			continue
		}
		seen[m] = true
		split := map[[2]uint8]uint8{}
		for i := range class {
			key := [2]uint8{class[i], uint8(m >> i & 1)}
			if _, ok := split[key]; !ok {
				split[key] = uint8(len(split))
			}
			class[i] = split[key]
		}
		n = len(split)
	}
	return n
}

// sharePlan is the plan of the rules, made once for the same ones.
func (s *Set) sharePlan(rules []*Rule, plans map[string]*plan) *plan {
	if len(rules) == 0 {
		return nil
	}
	key := rulesKey(rules)
	p := plans[key]
	if p == nil {
		p = s.newPlan(rules)
		plans[key] = p
	}
	return p
}

func rulesKey(rules []*Rule) string {
	var key []byte
	for _, r := range rules {
		key = binary.BigEndian.AppendUint32(key, uint32(r.index))
	}
	return string(key)
}
