package rule

import (
	"fmt"
	"slices"
	"strings"

	"github.com/postmoat/postmoat/pkg/maillog"
)

// parts are where the fields of a when stand; the client, the host and the
// program are known of every line.
var parts = map[string]maillog.Parts{
	"stage": maillog.PartStage, "code": maillog.PartReply, "dsn": maillog.PartReply,
	"helo": maillog.PartAddresses, "sender": maillog.PartAddresses, "recipient": maillog.PartAddresses,
	"proto": maillog.PartAddresses, "sasl_user": maillog.PartSASL, "sasl_method": maillog.PartSASL,
	"client_name": maillog.PartName, "port": maillog.PartPort, "service": maillog.PartService,
	"auth_failed": maillog.PartSummary, "unknown_commands": maillog.PartSummary,
}

// CheckSense finds what can never be: conditions that no line of the kinds of
// their rule meets, and counting by what such lines do not tell. Rules of that
// sort do no harm, but not what they were written for either.
func (s *Set) CheckSense() []*Error {
	var out []*Error
	for _, r := range s.rules {
		if r.pattern != nil {
			continue // compiled with what its groups can tell
		}
		fail := func(at Pos, format string, args ...any) {
			out = append(out, &Error{Pos: at, Rule: r.Name, Msg: fmt.Sprintf(format, args...)})
		}
		some := func(can func(maillog.Kind) bool) bool { return slices.ContainsFunc(r.kinds, can) }
		tells := func(p maillog.Parts) bool {
			return p == 0 || some(func(k maillog.Kind) bool { return k.Parts()&p != 0 })
		}
		kinds := kindsText(r.kinds)
		for i := range r.spec.When {
			w := &r.spec.When[i]
			if !tells(parts[w.Field]) {
				fail(w.Pos, "when: %s: no line of %s has one, so the rule never matches: take it out", w.Field, kinds)
				continue
			}
			for _, v := range w.Values {
				if !some(func(k maillog.Kind) bool { return canBe(k, w.Field, v) }) {
					fail(w.Pos, "when: %s %q: no line of %s is that: take it out", w.Field, v, kinds)
				}
			}
		}
		if r.PerSession && !tells(maillog.PartSession) {
			fail(r.spec.at("per"), "per: session: lines of %s have no session: write per: line", kinds)
		}
		if r.Distinct == DistinctRecipient && !tells(maillog.PartAddresses) || r.Distinct == DistinctSASLUser && !tells(maillog.PartSASL) {
			fail(r.spec.at("distinct"), "distinct: no line of %s has a %s, so each counts in full: take it out", kinds, r.spec.Distinct)
		}
	}
	return out
}

// canBe says whether a line of a kind can have that value of a field.
func canBe(k maillog.Kind, field, value string) bool {
	switch field {
	case "reason":
		r, ok := named(value, maillog.NumReasons)
		return !ok || k.CanBe(r)
	case "door":
		d, _ := maillog.ParseDoor(strings.ToLower(value))
		return k.At(d)
	}
	return true
}

// kindsText names kinds: "smtpd.connect", "smtpd.connect or smtpd.timeout".
func kindsText(kinds []maillog.Kind) string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.String())
	}
	if n := len(names) - 1; n > 0 {
		return strings.Join(names[:n], ", ") + " or " + names[n]
	}
	return names[0]
}
