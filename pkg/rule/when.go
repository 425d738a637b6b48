package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/prefix"
)

// maxText bounds a value of a when, so that matching stays cheap.
const maxText = 255

// clientless are kinds of lines that never blame anybody, and why.
var clientless = map[maillog.Kind]string{
	maillog.SMTPDConnectUnknown:  "such a line names no client",
	maillog.SMTPDNumericHostname: "such a line names no client",
	maillog.SMTPDProxyReject:     "such a line names no client",
	maillog.DovecotAuthFail:      "such a line never counts, the login line that follows does: write dovecot.login_fail",
}

// when reads the conditions of the rule at hand.
func (c *compiler) when(r *Rule) {
	s := c.spec
	seen := map[string]bool{}
	for i := range s.When {
		w := &s.When[i]
		switch {
		case seen[w.Field]:
			c.errorf(w.Pos, "when: %s is given twice: write one list", w.Field)
		case len(w.Values) == 0:
			c.errorf(w.Pos, "when: %s: an empty list matches nothing: give a value or leave the key out", w.Field)
		default:
			c.cond(r, w)
		}
		seen[w.Field] = true
	}
	switch {
	case seen["pattern"]:
		c.patternRule(r, seen)
	case !seen["kind"]:
		c.errorf(s.at("when"), "when: kind is missing: name the kinds of line the rule is about, or a pattern and a program")
	}
}

func (c *compiler) cond(r *Rule, w *Cond) {
	switch w.Field {
	case "kind":
		for _, v := range w.Values {
			if k, ok := c.kind(w, v); ok && !slices.Contains(r.kinds, k) {
				r.kinds = append(r.kinds, k)
			}
		}
	case "stage":
		for _, v := range w.Values {
			if i, ok := word(c, w, v, maillog.NumStages); ok {
				r.stages |= 1 << i
			}
		}
	case "reason":
		for _, v := range w.Values {
			if i, ok := word(c, w, v, maillog.NumReasons); ok {
				r.reasons |= 1 << i
			}
		}
	case "door":
		for _, v := range w.Values {
			if i, ok := word(c, w, v, maillog.NumDoors); ok {
				r.doors |= 1 << i
			}
		}
	case "pattern":
		c.pattern(r, w)
	default:
		f, ok := fieldOf(w.Field)
		if !ok {
			c.errorf(w.Pos, "when: there is no field %q%s", w.Field, oneOf(w.Field, whenNames()))
			return
		}
		x := cond{field: f}
		for _, v := range w.Values {
			if id, ok := c.pred(w, f, v); ok && !slices.Contains(x.preds, id) {
				x.preds = append(x.preds, id)
			}
		}
		r.conds = append(r.conds, x)
	}
}

func (c *compiler) kind(w *Cond, v string) (maillog.Kind, bool) {
	k := maillog.KindNone
	for k < maillog.NumKinds && k.String() != v {
		k++
	}
	switch {
	case k == maillog.NumKinds:
		// The names that no rule can use come before and after the real ones.
		c.errorf(w.Pos, "when: there is no kind %q%s", v, DidYouMean(v, names(maillog.NumKinds)[maillog.SMTPDConnect:maillog.KindCustom]))
	case k < maillog.SMTPDConnect || k == maillog.KindCustom:
		c.errorf(w.Pos, "when: kind %q is not one a rule can be about: name a kind such as smtpd.reject", v)
	case clientless[k] != "":
		c.errorf(w.Pos, "when: kind %q: %s", v, clientless[k])
	default:
		return k, true
	}
	return 0, false
}

// word is the value below n whose text is v.
func word[T enum](c *compiler, w *Cond, v string, n T) (T, bool) {
	if i, ok := named(v, n); ok {
		return i, true
	}
	c.errorf(w.Pos, "when: there is no %s %q%s", w.Field, v, oneOf(v, slices.DeleteFunc(names(n), func(s string) bool { return s == "" })))
	return 0, false
}

// named is the value below n that is called v, in upper or lower case.
func named[T enum](v string, n T) (T, bool) {
	for i := range n {
		if v != "" && strings.EqualFold(i.String(), v) {
			return i, true
		}
	}
	return 0, false
}

type enum interface {
	~uint8
	fmt.Stringer
}

// names are the texts of the values below n, by value.
func names[T enum](n T) []string {
	var out []string
	for i := range n {
		out = append(out, i.String())
	}
	return out
}

// pred reads one value of a field; equal ones get the same index.
func (c *compiler) pred(w *Cond, f field, v string) (int, bool) {
	p := pred{field: f}
	key := v
	switch {
	case f < numTexts:
		if len(v) > maxText {
			c.errorf(w.Pos, "when: %s: longer than %d bytes: use * for a part of it", w.Field, maxText)
			return 0, false
		}
		p.glob = newGlob(v)
		key = p.glob.text
	case f == fieldClient:
		var err error
		if p.prefix, err = prefix.Parse(v); err != nil {
			c.errorf(w.Pos, "when: client: %v", err)
			return 0, false
		}
		key = p.prefix.String()
	default:
		var ok bool
		if p.lo, p.hi, ok = c.numbers(w, f, v); !ok {
			return 0, false
		}
		key = fmt.Sprintf("%d-%d", p.lo, p.hi)
	}
	k := predKey{f, key}
	id, ok := c.preds[k]
	if !ok {
		id = len(c.set.preds)
		c.preds[k] = id
		c.set.preds = append(c.set.preds, p)
	}
	return id, true
}

// numbers reads "550", "500-599" or "3-".
func (c *compiler) numbers(w *Cond, f field, v string) (lo, hi uint32, ok bool) {
	least, most := numberRange(f)
	from, to, ranged := strings.Cut(v, "-")
	a, err := strconv.ParseUint(strings.TrimSpace(from), 10, 32)
	b := a
	if ranged && strings.TrimSpace(to) == "" {
		b = uint64(most)
	} else if ranged && err == nil {
		b, err = strconv.ParseUint(strings.TrimSpace(to), 10, 32)
	}
	switch {
	case err != nil:
		c.errorf(w.Pos, "when: %s: %q is not a number: write %d, %d-%d or %d-", w.Field, v, least, least, most, least)
	case a < uint64(least) || b > uint64(most):
		c.errorf(w.Pos, "when: %s: %q is outside %d-%d", w.Field, v, least, most)
	case a > b:
		c.errorf(w.Pos, "when: %s: %q runs backwards: write %d-%d", w.Field, v, b, a)
	default:
		return uint32(a), uint32(b), true
	}
	return 0, 0, false
}
