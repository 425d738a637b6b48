package rule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// maxSessionRules is how many session-rules a set can hold: a session has so
// many marks.
const maxSessionRules = 256

// Compile makes a Set of the rules that are not disabled, in the order given.
// windows are the names of the configured windows; Rule.Windows and
// WindowWeight.Window are indices into it. The error joins an *Error for each
// thing that is wrong in any of the specs.
func Compile(specs []Spec, windows []string) (*Set, error) {
	c := &compiler{windows: windows, preds: map[predKey]int{}, names: map[string]Pos{}}
	c.set.windows = slices.Clone(windows)
	for _, s := range specs {
		if !s.Disabled {
			c.rule(&s)
		}
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	c.set.build()
	return &c.set, nil
}

type predKey struct {
	field field
	value string // in its canonical form
}

// A compiler holds what is known while specs are read.
type compiler struct {
	set      Set
	windows  []string
	preds    map[predKey]int
	names    map[string]Pos
	sessions int
	errs     []error

	spec *Spec // of the rule at hand
}

func (c *compiler) errorf(at Pos, format string, args ...any) {
	c.errs = append(c.errs, &Error{Pos: at, Rule: c.spec.Name, Msg: fmt.Sprintf(format, args...)})
}

// rule reads one spec.
func (c *compiler) rule(s *Spec) {
	c.spec = s
	before := len(c.errs)
	r := &Rule{Name: s.Name, About: s.About, Pos: s.Pos, Weight: s.Weight, spec: s, mark: -1}
	c.head(r)
	c.scoring(r)
	c.when(r)
	if wrong := c.errs[before:]; len(wrong) > 0 {
		slices.SortStableFunc(wrong, func(a, b error) int {
			return a.(*Error).Pos.Line - b.(*Error).Pos.Line
		})
		return
	}
	if len(r.Windows) == 0 {
		c.set.idle = append(c.set.idle, r.Name)
		return
	}
	r.index = len(c.set.rules)
	c.set.rules = append(c.set.rules, r)
}

func (c *compiler) head(r *Rule) {
	s := c.spec
	switch first, dup := c.names[s.Name]; {
	case s.Name == "":
		c.errorf(s.Pos, "name: missing: write name: and a short word of letters, digits and dashes")
	case !plainName(s.Name):
		c.errorf(s.at("name"), "name: write up to 64 letters, digits, dots, dashes and underscores")
	case dup:
		c.errorf(s.at("name"), "name: given twice, first at %s: give one of them another name", first)
	default:
		c.names[s.Name] = s.Pos
	}
	if s.Builtin && strings.TrimSpace(s.About) == "" {
		c.errorf(s.Pos, "about: missing: a rule that is shipped says what it means and which honest clients trip it")
	}
}

func (c *compiler) scoring(r *Rule) {
	s := c.spec
	if _, given := s.At["weight"]; s.Weight == 0 && s.At != nil && !given {
		c.errorf(s.Pos, "weight: missing: write weight: and a number of 1 to 1000")
	} else if s.Weight < 1 || s.Weight > 1000 {
		c.errorf(s.at("weight"), "weight: %d is outside 1-1000: write a weight of 1 to 1000 (enabled: false switches a rule off)", s.Weight)
	}
	for i, w := range s.Windows {
		at := slices.Index(c.windows, w)
		switch {
		case slices.Contains(s.Windows[:i], w):
			c.errorf(s.at("windows"), "windows: %q is named twice: write it once", w)
		case at >= 0:
			r.Windows = append(r.Windows, at)
		case !s.Builtin:
			c.errorf(s.at("windows"), "windows: there is no window %q%s", w, oneOf(w, c.windows))
		}
	}
	if s.Windows == nil {
		for i := range c.windows {
			r.Windows = append(r.Windows, i)
		}
	} else if len(s.Windows) == 0 {
		c.errorf(s.at("windows"), "windows: an empty list: name the windows that count it, or leave the key out for all of them")
	}
	slices.Sort(r.Windows)

	switch s.Per {
	case "", "line":
	case "session":
		r.PerSession = true
		r.mark = c.sessions
		if c.sessions++; c.sessions == maxSessionRules+1 {
			c.errorf(s.at("per"), "per: more than %d rules count by session: write per: line", maxSessionRules)
		}
	default:
		c.errorf(s.at("per"), "per: %q: write line or session", s.Per)
	}
	switch s.Distinct {
	case "":
	case "recipient":
		r.Distinct = DistinctRecipient
	case "sasl_user":
		r.Distinct = DistinctSASLUser
	default:
		c.errorf(s.at("distinct"), "distinct: %q: write recipient or sasl_user", s.Distinct)
	}
	switch s.Times {
	case "":
	case "auth_failed":
		r.TimesAuthFailed = true
		if !slices.ContainsFunc(s.When, func(w Cond) bool { return w.Field == "auth_failed" }) {
			c.errorf(s.at("times"), `times: needs the same field in when: write auth_failed: "1-" there`)
		}
	default:
		c.errorf(s.at("times"), "times: %q: write auth_failed", s.Times)
	}
	if s.Door != "" {
		d, ok := maillog.ParseDoor(s.Door)
		if !ok {
			c.errorf(s.at("door"), "door: %q: write smtp or login", s.Door)
		}
		r.fixed, r.door = true, d
	}
}

// oneOf is what to write instead of a word that is not known.
func oneOf(word string, known []string) string {
	if near := DidYouMean(word, known); near != "" {
		return near
	}
	if len(known) == 0 {
		return ""
	}
	return ": write one of " + strings.Join(known, ", ")
}

func plainName(s string) bool {
	if len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}
