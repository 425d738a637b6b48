package rule

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/postmoat/postmoat/pkg/maillog"
)

func spec(name string, weight int, when ...string) Spec {
	s := Spec{Name: name, Weight: weight}
	for i := 0; i < len(when); i += 2 {
		if n := len(s.When); n > 0 && s.When[n-1].Field == when[i] {
			s.When[n-1].Values = append(s.When[n-1].Values, when[i+1])
			continue
		}
		s.When = append(s.When, Cond{Field: when[i], Values: []string{when[i+1]}})
	}
	return s
}

func compile(t testing.TB, specs ...Spec) *Set {
	t.Helper()
	set, err := Compile(specs, []string{"burst", "day"})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// texts are those of an event.
type texts map[maillog.Text]string

// in is ev with the texts.
func (ts texts) in(ev maillog.Event) *maillog.Event {
	for t, s := range ts {
		ev.SetText(t, []byte(s))
	}
	return &ev
}

// smtpd is an event of an smtpd with some texts more.
func smtpd(ev maillog.Event, ts texts) *maillog.Event {
	return ts.in(*texts{maillog.Tag: "postfix/smtpd", maillog.Service: "smtp"}.in(ev))
}

func reject(reason maillog.Reason) *maillog.Event {
	return smtpd(maillog.Event{
		Kind: maillog.SMTPDReject, Stage: maillog.StageRcpt, Reason: reason, Code: 550, Client: netip.MustParseAddr("192.0.2.1"),
	}, texts{maillog.DSN: "5.1.1", maillog.Helo: "mail.example", maillog.Sender: "a@example.org", maillog.Recipient: "b@example.net"})
}

func TestHeaviestOnceAWindow(t *testing.T) {
	one := spec("one", 2, "kind", "smtpd.reject")
	two := spec("two", 5, "kind", "smtpd.reject")
	two.Windows, two.Distinct = []string{"day"}, "recipient"
	three := spec("three", 5, "kind", "smtpd.reject", "helo", "mail.*")
	set := compile(t, one, two, three)
	h := set.Match(reject(maillog.RcptUnknown), nil)[maillog.SMTP]
	want := []WindowWeight{{0, 5, DistinctNone, set.Rules()[2]}, {1, 5, DistinctRecipient, set.Rules()[1]}} // the tie goes to the first
	if !slices.Equal(h.Weights, want) || len(h.Rules) != 3 {
		t.Errorf("weights %v, want %v", h.Weights, want)
	}
}

func TestHitsAreInterned(t *testing.T) {
	set := compile(t, spec("a", 1, "kind", "smtpd.reject", "helo", "mail.*"), spec("b", 1, "kind", "smtpd.reject", "reason", "rbl"))
	one, two := set.Match(reject(maillog.RcptUnknown), nil), set.Match(reject(maillog.RelayDenied), nil)
	if one[0] == nil || one != two {
		t.Error("the same combination is not the same hit")
	}
	ids := map[int]bool{}
	for _, r := range []maillog.Reason{maillog.RBL, maillog.RelayDenied, maillog.Size} {
		if h := set.Match(reject(r), nil)[0]; h != nil {
			ids[h.ID] = true
		}
	}
	for id := range ids {
		if id >= len(set.hits) {
			t.Errorf("id %d of %d hits: not dense", id, len(set.hits))
		}
	}
}

func TestSessionRuleCountsOnce(t *testing.T) {
	s := spec("once", 1, "kind", "smtpd.reject")
	s.Per = "session"
	set := compile(t, s)
	ev, ses := reject(maillog.RBL), &maillog.Session{}
	if set.Match(ev, ses)[0] == nil || set.Match(ev, ses)[0] != nil {
		t.Error("not once a session")
	}
	if set.Match(ev, &maillog.Session{})[0] == nil {
		t.Error("another session does not count")
	}
	for range 2 {
		if set.Match(ev, nil)[0] == nil {
			t.Error("without a session each line counts")
		}
	}
}

// A session-rule whose other conditions do not hold leaves no mark.
func TestSessionRuleMarksOnlyWhatMatches(t *testing.T) {
	s := spec("once", 1, "kind", "smtpd.reject", "helo", "bot")
	s.Per = "session"
	set := compile(t, s)
	ev, ses := reject(maillog.RBL), &maillog.Session{}
	set.Match(ev, ses)
	ev.SetText(maillog.Helo, []byte("bot"))
	if set.Match(ev, ses)[0] == nil {
		t.Error("a line that did not match was counted")
	}
}

func TestTimesStandsAlone(t *testing.T) {
	times := spec("auth", 1, "kind", "smtpd.disconnect", "auth_failed", "1-")
	times.Times = "auth_failed"
	unknown := spec("unknown", 7, "kind", "smtpd.disconnect", "unknown_commands", "1-")
	set := compile(t, times, unknown)
	ev := smtpd(maillog.Event{Kind: maillog.SMTPDDisconnect, AuthFailed: 3}, nil)
	ev.Commands.Unknown = maillog.Tally{OK: 0, Total: 2}
	h := set.Match(ev, nil)[0]
	if h == nil || !h.TimesAuthFailed || len(h.Rules) != 1 || h.Weights[0].Weight != 1 {
		t.Errorf("%+v: a weight that is not for each failure would be multiplied too", h)
	}
	ev.AuthFailed = 0
	if h = set.Match(ev, nil)[0]; h == nil || h.TimesAuthFailed || h.Weights[0].Weight != 7 {
		t.Errorf("%+v", h)
	}
}

func TestDoorOfARule(t *testing.T) {
	s := spec("moved", 1, "kind", "smtpd.reject")
	s.Door = "login"
	h := compile(t, s, spec("own", 1, "kind", "smtpd.reject")).Match(reject(maillog.RBL), nil)
	if h[maillog.Login] == nil || h[maillog.Login].Rules[0].Name != "moved" || h[maillog.SMTP] == nil || h[maillog.SMTP].Rules[0].Name != "own" {
		t.Errorf("%v", h)
	}
}

func TestAbsentTextMatchesNothing(t *testing.T) {
	ev := reject(maillog.RBL)
	for _, c := range []struct {
		value string
		glob  string
		want  bool
	}{
		{"nil", "", false}, {"nil", "*", false}, {"nil", "?*", false},
		{"", "", true}, {"", "*", true}, {"", "?*", false},
		{"a@b", "", false}, {"a@b", "*", true}, {"a@b", "?*", true}, {"A@B", "a@b", true}, {"a@b", "A@*", true},
	} {
		if ev.SetText(maillog.Sender, []byte(c.value)); c.value == "nil" {
			ev.SetText(maillog.Sender, nil)
		}
		got := compile(t, spec("x", 1, "kind", "smtpd.reject", "sender", c.glob)).Match(ev, nil)[0] != nil
		if got != c.want {
			t.Errorf("sender %q against %q: %v", c.value, c.glob, got)
		}
	}
}

// When combinations run out, the heaviest rule of the combination stands for it.
func TestCombosAreBounded(t *testing.T) {
	set := compile(t, spec("light", 1, "kind", "smtpd.reject", "helo", "*a*"), spec("heavy", 9, "kind", "smtpd.reject", "helo", "*m*"))
	set.n = maxCombos
	h := set.Match(reject(maillog.RBL), nil)[0]
	if h == nil || len(h.Rules) != 1 || h.Rules[0].Name != "heavy" {
		t.Errorf("%+v", h)
	}
}

// manyRules is a rule set as operators grow them: blocklists of HELO names,
// senders, recipients and networks beside a few general rules.
func manyRules(n int) []Spec {
	specs := []Spec{
		spec("null", 1, "kind", "smtpd.reject", "reason", "rcpt_unknown", "sender", ""),
		spec("some", 1, "kind", "smtpd.reject", "reason", "rcpt_unknown", "sender", "?*"),
		spec("five", 2, "kind", "smtpd.reject", "code", "500-599", "reason", "access"),
		spec("rbl", 3, "kind", "smtpd.reject", "reason", "rbl"),
		spec("dyn", 1, "kind", "smtpd.reject", "client_name", "*.dyn.*"),
	}
	for i := len(specs); i < n; i++ {
		name := fmt.Sprintf("r%d", i)
		var s Spec
		switch i % 6 {
		case 0:
			s = spec(name, 2, "kind", "smtpd.reject", "helo", fmt.Sprintf("bot-%d", i))
		case 1:
			s = spec(name, 2, "kind", "smtpd.reject", "sender", fmt.Sprintf("*@spam%d.example", i))
		case 2:
			s = spec(name, 2, "kind", "smtpd.reject", "client", netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24).String())
		case 3:
			s = spec(name, 2, "kind", "smtpd.reject", "recipient", fmt.Sprintf("trap%d@*", i))
		case 4:
			s = spec(name, 2, "kind", "smtpd.sasl_fail", "sasl_user", fmt.Sprintf("honey%d", i), "sasl_user", fmt.Sprintf("pot%d", i))
		case 5:
			s = spec(name, 2, "kind", "smtpd.reject", "reason", "access", "helo", fmt.Sprintf("host%d.*", i), "code", "554")
		}
		specs = append(specs, s)
	}
	return specs
}

func manyEvents() []*maillog.Event {
	null, bot, net := reject(maillog.RcptUnknown), reject(maillog.Access), reject(maillog.RBL)
	null.SetText(maillog.Sender, []byte{})
	bot.SetText(maillog.Helo, []byte("bot-6"))
	bot.SetText(maillog.Sender, []byte("x@spam7.example"))
	net.Client = netip.MustParseAddr("10.0.8.1")
	auth := smtpd(maillog.Event{Kind: maillog.SMTPDSASLFail, Reason: maillog.AuthCredentials}, texts{maillog.SASLUser: "info@example.net"})
	return []*maillog.Event{null, bot, net, auth, reject(maillog.RcptUnknown), reject(maillog.Greylist)}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	set, events := compile(t, manyRules(1000)...), manyEvents()
	for _, ev := range events {
		set.Match(ev, nil)
	}
	if n := testing.AllocsPerRun(100, func() {
		for _, ev := range events {
			set.Match(ev, nil)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 100, 1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			set, events := compile(b, manyRules(n)...), manyEvents()
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				set.Match(events[i%len(events)], nil)
				i++
			}
		})
	}
}

// BenchmarkAsked matches with rules like those that are shipped.
func BenchmarkAsked(b *testing.B) {
	session := spec("hangup", 1, "kind", "smtpd.lost_connection")
	session.Per = "session"
	set := compile(b, session,
		spec("unknown", 2, "kind", "smtpd.reject", "reason", "rcpt_unknown", "door", "smtp"),
		spec("null", 1, "kind", "smtpd.reject", "reason", "rcpt_unknown", "door", "smtp", "sender", ""),
		spec("relay", 1, "kind", "smtpd.reject", "reason", "relay_denied", "code", "500-599"),
		spec("auth", 1, "kind", "smtpd.disconnect", "auth_failed", "1-"),
		spec("commands", 1, "kind", "smtpd.disconnect", "unknown_commands", "3-"))
	some, null := reject(maillog.RcptUnknown), reject(maillog.RcptUnknown)
	null.SetText(maillog.Sender, []byte{})
	for name, ev := range map[string]*maillog.Event{
		"Reject": some, "Null": null, "Relay": reject(maillog.RelayDenied),
		"Disconnect": smtpd(maillog.Event{Kind: maillog.SMTPDDisconnect}, nil),
		"Lost":       smtpd(maillog.Event{Kind: maillog.SMTPDLostConnection}, nil),
		"Nothing":    smtpd(maillog.Event{Kind: maillog.SMTPDConnect}, nil),
	} {
		b.Run(name, func(b *testing.B) {
			ses := &maillog.Session{}
			b.ReportAllocs()
			for b.Loop() {
				set.Match(ev, ses)
			}
		})
	}
}
