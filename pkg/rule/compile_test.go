package rule

import (
	"strings"
	"testing"
)

func TestCompileErrors(t *testing.T) {
	with := func(s Spec, change func(*Spec)) Spec { change(&s); return s }
	ok := spec("r", 1, "kind", "smtpd.reject")
	custom := with(spec("r", 1, "program", "sshd", "pattern", `^from (?P<client>[^ ]+)`), func(s *Spec) { s.Door = "smtp" })
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{with(ok, func(s *Spec) { s.Name = "" }), "rule: name: missing: write name: and a short word of letters, digits and dashes"},
		{with(ok, func(s *Spec) { s.Name = "a b" }), `rule: rule "a b": name: write up to 64 letters, digits, dots, dashes and underscores`},
		{with(ok, func(s *Spec) { s.Builtin = true }), `about: missing`},
		{with(ok, func(s *Spec) { s.Weight = 0 }), "weight: 0 is outside 1-1000: write a weight of 1 to 1000 (enabled: false switches a rule off)"},
		{with(ok, func(s *Spec) { s.Weight = 1001 }), "weight: 1001 is outside"},
		{with(ok, func(s *Spec) { s.Windows = []string{"bursts"} }), `windows: there is no window "bursts": did you mean "burst"?`},
		{with(ok, func(s *Spec) { s.Windows = []string{"zzzzzzzz"} }), `windows: there is no window "zzzzzzzz": write one of burst, day`},
		{with(ok, func(s *Spec) { s.Windows = []string{"day", "day"} }), `windows: "day" is named twice: write it once`},
		{with(ok, func(s *Spec) { s.Windows = []string{} }), `windows: an empty list`},
		{with(ok, func(s *Spec) { s.Per = "minute" }), `per: "minute": write line or session`},
		{with(ok, func(s *Spec) { s.Distinct = "helo" }), `distinct: "helo": write recipient or sasl_user`},
		{with(ok, func(s *Spec) { s.Times = "count" }), `times: "count": write auth_failed`},
		{with(ok, func(s *Spec) { s.Times = "auth_failed" }), `times: needs the same field in when: write auth_failed: "1-" there`},
		{with(ok, func(s *Spec) { s.Door = "imap" }), `door: "imap": write smtp or login`},
		{spec("r", 1, "helo", "x"), "when: kind is missing: name the kinds"},
		{spec("r", 1, "kind", "smtpd.rejct"), `when: there is no kind "smtpd.rejct": did you mean "smtpd.reject"?`},
		{spec("r", 1, "kind", "custom"), `when: kind "custom" is not one a rule can be about`},
		{spec("r", 1, "kind", "none"), `when: kind "none" is not one a rule can be about`},
		{spec("r", 1, "kind", "smtpd.connect_unknown"), "such a line names no client"},
		{spec("r", 1, "kind", "dovecot.auth_fail"), "write dovecot.login_fail"},
		{spec("r", 1, "kind", "smtpd.reject", "reason", "rcpt_unkown"), `when: there is no reason "rcpt_unkown": did you mean "rcpt_unknown"?`},
		{spec("r", 1, "kind", "smtpd.reject", "reason", ""), `when: there is no reason ""`},
		{spec("r", 1, "kind", "smtpd.reject", "stage", "RCTP"), `did you mean "RCPT"?`},
		{spec("r", 1, "kind", "smtpd.reject", "door", "imap"), `when: there is no door "imap": write one of smtp, login`},
		{spec("r", 1, "kind", "smtpd.reject", "recipent", "x"), `when: there is no field "recipent": did you mean "recipient"?`},
		{spec("r", 1, "kind", "smtpd.reject", "code", "5xx"), `when: code: "5xx" is not a number: write 200, 200-599 or 200-`},
		{spec("r", 1, "kind", "smtpd.reject", "code", "600"), `when: code: "600" is outside 200-599`},
		{spec("r", 1, "kind", "smtpd.reject", "code", "599-500"), `when: code: "599-500" runs backwards: write 500-599`},
		{spec("r", 1, "kind", "smtpd.disconnect", "auth_failed", "0-"), `when: auth_failed: "0-" is outside 1-65535`},
		{spec("r", 1, "kind", "smtpd.reject", "client", "192.0.2.7/24"), "when: client: prefix \"192.0.2.7/24\" has host bits set: write 192.0.2.0/24"},
		{spec("r", 1, "kind", "smtpd.reject", "client", "192.0.2.7"), "write 192.0.2.7/32"},
		{spec("r", 1, "kind", "smtpd.reject", "helo", strings.Repeat("x", 300)), "when: helo: longer than 255 bytes: use * for a part of it"},
		{Spec{Name: "r", Weight: 1, When: []Cond{{Field: "kind"}}}, "when: kind: an empty list matches nothing"},
		{Spec{Name: "r", Weight: 1, When: []Cond{{Field: "kind", Values: []string{"smtpd.reject"}}, {Field: "kind", Values: []string{"smtpd.hold"}}}}, "when: kind is given twice"},
		{with(custom, func(s *Spec) { s.Door = "" }), "door: missing: postmoat does not know where that program listens"},
		{with(custom, func(s *Spec) { s.Per = "session" }), "per: session: lines without a grammar have no session"},
		{with(custom, func(s *Spec) { s.Distinct = "sasl_user" }), "distinct: sasl_user: the pattern has no group for it: write (?P<sasl_user>...)"},
		{with(custom, func(s *Spec) { s.When = append(s.When[:2:2], Cond{Field: "helo", Values: []string{"x"}}) }), "when: helo: the pattern has no group for it"},
		{with(custom, func(s *Spec) { s.When = append(s.When[:2:2], Cond{Field: "kind", Values: []string{"smtpd.reject"}}) }), "when: kind and pattern"},
		{with(custom, func(s *Spec) { s.When = s.When[1:] }), "when: program is missing"},
		{with(custom, func(s *Spec) { s.When[0].Values = []string{"postfix/*"} }), "whose lines have a grammar here"},
		{with(custom, func(s *Spec) { s.When[0].Values = []string{"dovecot"} }), "takes in dovecot"},
	} {
		_, err := Compile([]Spec{c.spec}, []string{"burst", "day"})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got  %v\nwant %s", err, c.want)
		}
	}
	if _, err := Compile([]Spec{ok}, []string{"burst"}); err != nil {
		t.Errorf("the rule that the mistakes are made in: %v", err)
	}
}

func TestAllErrorsAtOnceWithTheirPlaces(t *testing.T) {
	one := spec("one", 0, "kind", "smtpd.rejects", "code", "1")
	one.Pos = Pos{"a.yaml", 2}
	one.At = map[string]Pos{"weight": {"a.yaml", 5}}
	one.When[0].Pos, one.When[1].Pos = Pos{"a.yaml", 3}, Pos{"a.yaml", 4}
	two := spec("one", 1, "kind", "smtpd.reject")
	two.Pos = Pos{"b.yaml", 1}
	_, err := Compile([]Spec{one, two}, nil)
	want := `a.yaml:3: rule "one": when: there is no kind "smtpd.rejects": did you mean "smtpd.reject"?
a.yaml:4: rule "one": when: code: "1" is outside 200-599
a.yaml:5: rule "one": weight: 0 is outside 1-1000: write a weight of 1 to 1000 (enabled: false switches a rule off)
b.yaml:1: rule "one": name: given twice, first at a.yaml:2: give one of them another name`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestWindowsOfARule(t *testing.T) {
	all := spec("all", 1, "kind", "smtpd.reject")
	shipped := spec("shipped", 1, "kind", "smtpd.reject")
	shipped.Builtin, shipped.About, shipped.Windows = true, "x", []string{"spray", "day"}
	idle := shipped
	idle.Name, idle.Windows = "idle", []string{"spray"}
	off := spec("off", 0)
	off.Disabled = true
	set := compile(t, all, shipped, idle, off)
	if r := set.Rules(); len(r) != 2 || len(r[0].Windows) != 2 || len(r[1].Windows) != 1 || r[1].Windows[0] != 1 {
		t.Errorf("%+v", r)
	}
	if len(set.Idle()) != 1 || set.Idle()[0] != "idle" {
		t.Errorf("idle: %v", set.Idle())
	}
	if u := set.Unused(); len(u) != 0 {
		t.Errorf("unused: %v", u)
	}
	if u := compile(t, shipped).Unused(); len(u) != 1 || u[0] != "burst" {
		t.Errorf("unused: %v", u)
	}
}

func TestTooManySessionRules(t *testing.T) {
	var specs []Spec
	for range 257 {
		s := spec("s"+strings.Repeat("x", len(specs)%60)+string(rune('a'+len(specs)/60)), 1, "kind", "smtpd.reject")
		s.Per = "session"
		specs = append(specs, s)
	}
	if _, err := Compile(specs[:256], []string{"day"}); err != nil {
		t.Error(err)
	}
	if _, err := Compile(specs, []string{"day"}); err == nil || !strings.Contains(err.Error(), "more than 256 rules") {
		t.Errorf("%v", err)
	}
}

func TestDidYouMean(t *testing.T) {
	for _, c := range []struct{ word, want string }{
		{"weigth", `: did you mean "weight"?`}, {"WINDOWS", `: did you mean "windows"?`}, {"window", `: did you mean "windows"?`},
		{"banana", ""}, {strings.Repeat("w", 1000), ""},
	} {
		if got := DidYouMean(c.word, []string{"weight", "windows", "door"}); got != c.want {
			t.Errorf("%.20s: %q, want %q", c.word, got, c.want)
		}
	}
}
