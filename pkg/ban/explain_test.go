package ban

import (
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/score"
)

// tells fails if the text does not have these facts.
func tells(t *testing.T, x *Ban, facts ...string) {
	t.Helper()
	text := x.Explain()
	for _, f := range facts {
		if !strings.Contains(text, f) {
			t.Errorf("it does not say %q:\n%s", f, text)
		}
	}
	for _, bad := range []string{"%!", "  ", "..", " ,", "invalid", "nothing is in it"} {
		if strings.Contains(text, bad) {
			t.Errorf("it says %q:\n%s", bad, text)
		}
	}
}

func TestExplain(t *testing.T) {
	r := newRig(t)
	r.makeGood("192.0.1.9")
	cause := Cause{
		Window: "burst", Span: 600, Units: 42, Limit: 40, Events: 7, First: t0 - 90, Last: t0, Factor: 640,
		Rules: []score.RuleCount{{Rule: "unknown-recipients", Count: 5}, {Rule: "relay", Count: 2}},
	}
	r.Offend(t0, []Offender{{must("192.0.2.1"), t0, cause}})
	x := r.of("192.0.2.1")
	tells(t, x, "192.0.2.1 is banned at door smtp since 2027-01-15 08:00:00 UTC, until 2027-01-15 09:00:00 UTC",
		"reached 10.5 of 10 in window burst (10m) with 7 events", "unknown-recipients 5, relay 2", "2.5 times",
		"The next wider prefix, a /24, would cost 383 instead of 128", "it needs 3 offenders and has 1")
	cause.Network, cause.Factor = must("192.0.2.0/24"), 0
	r.Offend(t0+60, []Offender{
		{must("192.0.2.2"), t0, cause}, {must("192.0.2.3"), t0, cause}, {must("192.0.2.4"), t0, cause}, {must("192.0.2.5"), t0, cause},
	})
	x = r.of("192.0.2.0/24")
	r.Knock(x, t0+100, 5)
	tells(t, x, "It holds 5 offenders: 192.0.2.1 reached", "192.0.2.2, 192.0.2.3, 192.0.2.4 and 1 more took part when 192.0.2.0/24 together reached 10.5 of 10",
		"A /24 needs 3 offenders and has 5; it costs 379 (an entry counts 128, each address that did not offend 1), without it ",
		"a /22, would cost 1147 instead of 379 and was not taken: known-good sender 192.0.1.9 is in it", "5 knocks, the last at 2027-01-15 08:01:40 UTC")
	r.Knock(x, x.Until-1, 1)
	r.Tick(x.Until)
	tells(t, x, "It was renewed once")
	r.Tick(x.Until)
	tells(t, r.Offence(t0+4*hour, must("192.0.2.4")), "revived", "level 1: its term was doubled once")
	r.allowed(t0+4*hour, "192.0.2.128/25")
	tells(t, r.of("192.0.2.0/29"), "It has this width because of allowlist entry 192.0.2.128/25")

	r.Ban(t0+5*hour, must("198.51.100.0/24"), Forever, "they asked for it.")
	tells(t, r.of("198.51.100.0/24"), "banned by hand", "until it is unbanned", "The reason given: they asked for it.")
}

// TestExplainLevel: the level is no count of bans; quiet days make it less.
func TestExplainLevel(t *testing.T) {
	r := newRig(t)
	now := t0
	for range 4 {
		r.offend(now, "192.0.2.1")
		now += 10 * hour
		r.Tick(now)
	}
	now += 15 * int64(day)
	r.offend(now, "192.0.2.1")
	tells(t, r.of("192.0.2.1"), "level 2: its term was doubled 2 times")
}

func TestExplainOfASite(t *testing.T) {
	r := newRig(t)
	r.makeGood("2001:db8:0:1::1")
	r.offend(t0, "2001:db8:0:1::100")
	tells(t, r.of("2001:db8:0:1::100"), "Only this address of its /64 is banned, because of known-good sender 2001:db8:0:1::1")
	r.offend(t0, siteOf(17)...)
	tells(t, r.Lookup(must("2001:db8:0:1::100").Addr()), "a part of 2001:db8:0:1::/64", "17 offenders, 17 being enough", "around known-good sender 2001:db8:0:1::1")
	r.offend(t0, "2001:db8:0:801::/64", "2001:db8:0:802::/64", "2001:db8:0:803::/64")
	tells(t, r.of("2001:db8:0:800::/56"), "in /64", "A /56 needs 3 offenders and has 3")
}

func TestExplainOfTheHeld(t *testing.T) {
	r := newRig(t)
	r.breaker = NewBreaker(0, -1)
	r.offend(t0, hostsOf("192.0.2.1", 3)...)
	tells(t, r.of("192.0.2.2"), "wanted a /24 for 3 offenders, but widening was stopped (by the breaker, ")
}
