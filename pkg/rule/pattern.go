package rule

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// maxMessage is how much of a message a pattern sees.
const maxMessage = 4096

// A pattern is a rule's own expression for lines of a program that has no
// grammar here.
type pattern struct {
	re     *regexp.Regexp
	client int // number of the group
	// Numbers of the groups, 0: the expression has none.
	saslUser, recipient, sender, helo int
	conds                             []cond // to be asked once the groups are known
}

// groupNames are the groups that mean something.
var groupNames = []string{"client", "helo", "recipient", "sasl_user", "sender"}

// pattern reads the expression of the rule at hand.
func (c *compiler) pattern(r *Rule, w *Cond) {
	if len(w.Values) != 1 {
		c.errorf(w.Pos, "when: pattern: one expression, not a list: write a rule for each")
		return
	}
	text := w.Values[0]
	if !strings.HasPrefix(text, "^") {
		c.errorf(w.Pos, "when: pattern: must begin with ^: an expression that is not anchored can be led astray by text the client wrote")
		return
	}
	re, err := regexp.Compile(text)
	if err != nil {
		c.errorf(w.Pos, "when: pattern: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
		return
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err == nil {
		err = anchored(tree)
	}
	if err != nil {
		c.errorf(w.Pos, "when: pattern: %v", err)
		return
	}
	group := func(name string) int { return max(re.SubexpIndex(name), 0) }
	r.pattern = &pattern{
		re: re, client: group("client"),
		saslUser: group("sasl_user"), recipient: group("recipient"), sender: group("sender"), helo: group("helo"),
	}
	for _, g := range re.SubexpNames() {
		if g != "" && !slices.Contains(groupNames, g) {
			c.errorf(w.Pos, "when: pattern: there is no use for a group %q%s", g, oneOf(g, groupNames))
		}
	}
}

// patternRule checks what else a rule with a pattern says.
func (c *compiler) patternRule(r *Rule, seen map[string]bool) {
	s := c.spec
	for _, f := range []string{"kind", "stage", "reason", "door", "dsn", "client_name", "sasl_method", "proto",
		"service", "code", "port", "auth_failed", "unknown_commands"} {
		if seen[f] {
			c.errorf(s.at("when"), "when: %s and pattern: a line without a grammar has no %s: drop one of them", f, f)
		}
	}
	if s.Door == "" {
		c.errorf(s.Pos, "door: missing: postmoat does not know where that program listens: write door: smtp or door: login")
	}
	if r.PerSession {
		c.errorf(s.at("per"), "per: session: lines without a grammar have no session: write per: line")
	}
	if !seen["program"] {
		c.errorf(s.at("when"), "when: program is missing: name the program whose lines the pattern is for")
	}
	if r.pattern == nil {
		return
	}
	need := map[field]string{}
	switch r.Distinct {
	case DistinctRecipient:
		need[fieldRecipient] = "distinct: recipient"
	case DistinctSASLUser:
		need[fieldSASLUser] = "distinct: sasl_user"
	}
	r.pattern.conds = slices.DeleteFunc(slices.Clone(r.conds), envelope)
	r.conds = slices.DeleteFunc(r.conds, func(x cond) bool { return !envelope(x) })
	for _, x := range r.conds {
		if x.field == fieldProgram {
			c.programs(x)
		}
	}
	for _, x := range r.pattern.conds {
		if x.field < numTexts {
			need[x.field] = "when: " + fieldNames[x.field]
		}
	}
	for f := range numTexts {
		if why := need[f]; why != "" && !slices.Contains(r.pattern.re.SubexpNames(), fieldNames[f]) {
			c.errorf(s.at("when"), "%s: the pattern has no group for it: write (?P<%s>...)", why, fieldNames[f])
		}
	}
}

// envelope says that a condition can be asked before the pattern is tried.
func envelope(x cond) bool { return x.field == fieldProgram || x.field == fieldHost }

// programs refuses the programs that have a grammar.
func (c *compiler) programs(x cond) {
	for _, id := range x.preds {
		g := &c.set.preds[id].glob
		for _, d := range daemons {
			for _, tag := range []string{d, "postfix/" + d, "postfix/submission/" + d} {
				if g.match([]byte(tag)) {
					c.errorf(c.spec.at("when"), "when: program %q: takes in %s, whose lines have a grammar here: name the program exactly, or use kind and its fields", g.text, tag)
					return
				}
			}
		}
	}
}

// daemons have a grammar in package maillog: the part of the tag behind its
// last slash. rsyslog may leave nothing but "postfix" of it.
var daemons = []string{"smtpd", "postscreen", "tlsproxy", "dnsblog", "anvil", "cleanup", "qmgr", "dovecot", "postfix"}

func hasGrammar(tag []byte) bool {
	d := tag[bytes.LastIndexByte(tag, '/')+1:]
	for _, x := range daemons {
		if string(d) == x {
			return true
		}
	}
	return false
}
