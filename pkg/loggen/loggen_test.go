package loggen

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// options makes a log of a mix, not longer than the tests have patience for.
func options(mix string, seed uint64) Options {
	return Options{Mix: mix, Seed: seed, Lines: 8000}
}

func generate(t *testing.T, o Options) (string, Truth) {
	t.Helper()
	var b bytes.Buffer
	truth, err := Write(&b, o)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), truth
}

func eachMix(t *testing.T, test func(t *testing.T, mix string)) {
	names, abouts := Mixes()
	for i, mix := range names {
		if abouts[i] == "" {
			t.Errorf("mix %s says nothing about itself", mix)
		}
		t.Run(mix, func(t *testing.T) { test(t, mix) })
	}
}

func TestSameSeedSameBytes(t *testing.T) {
	eachMix(t, func(t *testing.T, mix string) {
		first, _ := generate(t, options(mix, 1))
		again, _ := generate(t, options(mix, 1))
		if first != again {
			t.Error("the same seed gave two logs")
		}
		if other, _ := generate(t, options(mix, 2)); other == first {
			t.Error("two seeds gave one log")
		}
	})
}

// A pattern knows the lines of one kind by their text alone.
type pattern struct {
	kind string
	word string         // in every such line: to be quick
	re   *regexp.Regexp // the first group is the client
}

func patterns() []pattern {
	reject := func(kind, text string) pattern {
		return pattern{kind, "NOQUEUE: reject: RCPT", regexp.MustCompile(`smtpd\[\d+\]: NOQUEUE: reject: RCPT from \S+\[([^\]]+)\]: ` + text)}
	}
	line := func(kind, word, text string) pattern {
		return pattern{kind, word, regexp.MustCompile(strings.ReplaceAll(text, "NAMADDR", `\S+\[([0-9a-f.:]+)\]`))}
	}
	return []pattern{
		reject("user_unknown_450", `450 (?:4\.1\.1 )?<.*User unknown in local`),
		reject("user_unknown_550", `550 5\.1\.1 <.*User unknown in virtual`),
		reject("relay_denied", `554 .*Relay access denied`),
		reject("helo", `450 4\.7\.1 <.*Helo command rejected: Host not found`),
		reject("helo_fqdn", `504 `),
		reject("dnsbl", `554 5\.7\.1 Service unavailable; Client host \[`),
		reject("rhsbl", `554 5\.7\.1 Service unavailable; Sender address \[`),
		reject("forged", `550 5\.1\.0 <.*Sender address rejected: User unknown`),
		line("stale", ": reject: RCPT", `smtpd\[\d+\]: 4\w+: reject: RCPT from NAMADDR: 550 5\.1\.1 <.*User unknown in virtual`),
		reject("sender_domain", `450 4\.1\.8 <`),
		reject("client_host", `450 4\.7\.25 Client host rejected: cannot find your hostname, \[`),
		line("sasl", "SASL LOGIN", `postfix/smtpd\[\d+\]: warning: NAMADDR: SASL LOGIN authentication failed`),
		line("lost_auth", "after AUTH", `lost connection after AUTH from NAMADDR$`),
		line("pipelining", "improper", `improper command pipelining after EHLO from NAMADDR: `),
		line("too_many", "too many", `too many errors after RCPT from NAMADDR$`),
		line("pregreet", "PREGREET", `postscreen\[\d+\]: PREGREET \d+ after [\d.]+ from \[(.*)\]:\d+: `),
		line("hangup", "HANGUP", `postscreen\[\d+\]: HANGUP after [\d.]+ from \[(.*)\]:\d+ in tests`),
		line("postscreen_reject", "postscreen", `postscreen\[\d+\]: NOQUEUE: reject: RCPT from \[([^\]]*)\]:\d+: 550`),
		line("old_password", "SASL PLAIN", `submission/smtpd\[\d+\]: warning: NAMADDR: SASL PLAIN authentication failed: `),
		line("old_password", "auth failed", `imap-login: Disconnected: .*\(auth failed, 1 attempts.* rip=([^,]*),`),
		line("hiccup", "after STARTTLS", `lost connection after STARTTLS from NAMADDR$`),
		line("hiccup", "no auth", `imap-login: Disconnected: .*\(no auth attempts.* rip=([^,]*),`),
		line("probe", "after CONNECT", `lost connection after CONNECT from NAMADDR$`),
		line("probe", "ehlo=1 quit=1", `disconnect from NAMADDR ehlo=1 quit=1 commands=2$`),
		line(accepted, "client=", `: client=NAMADDR$`),
		line(submitted, "client=", `: client=NAMADDR, sasl_method=PLAIN, sasl_username=`),
		line(login, "Login:", `imap-login: Login: .* rip=([^,]*),`),
	}
}

// The truth is what a plain reading of the log finds.
func TestTruth(t *testing.T) {
	known := patterns()
	eachMix(t, func(t *testing.T, mix string) {
		o := options(mix, 5)
		if len(mix) > 1 {
			o.Lines = 0 // all: the attack may come late
		}
		log, truth := generate(t, o)
		kinds, attackers, honest := map[string]int{}, map[string]int{}, map[string]int{}
		for line := range strings.Lines(log) {
			line = strings.TrimSuffix(line, "\n")
			for _, p := range known {
				if !strings.Contains(line, p.word) {
					continue
				}
				m := p.re.FindStringSubmatch(line)
				if m == nil {
					continue
				}
				if _, bad := truth.Attackers[m[1]]; bad {
					if p.kind == "probe" { // the goodbye of a pipelining client
						break
					}
					attackers[m[1]]++
					kinds[p.kind]++
					break
				}
				switch p.kind {
				case accepted, submitted, login:
					kinds[p.kind]++
					honest[m[1]]++
				case "user_unknown_450", "user_unknown_550":
					if mix != "2004" {
						kinds["honest_reject"]++
					} else {
						kinds["honest_user_unknown_450"]++
					}
					honest[m[1]] += 0
				default:
					kinds["honest_"+p.kind]++
					honest[m[1]] += 0
				}
				break
			}
		}
		if !maps.Equal(kinds, truth.Kinds) {
			t.Errorf("kinds in the log: %v\nthe truth says:   %v", kinds, truth.Kinds)
		}
		if !maps.Equal(attackers, truth.Attackers) {
			t.Errorf("%d attackers in the log, the truth has %d, or other numbers", len(attackers), len(truth.Attackers))
		}
		if !maps.Equal(honest, truth.Honest) {
			t.Errorf("%d honest clients in the log, the truth has %d, or other numbers", len(honest), len(truth.Honest))
		}
		if n := strings.Count(log, "\n"); n != truth.Lines || int64(len(log)) != truth.Bytes {
			t.Errorf("%d lines, %d bytes; the truth says %d, %d", n, len(log), truth.Lines, truth.Bytes)
		}
	})
}

// Every line has a stamp that does not go back, a host, and a program.
func TestEnvelope(t *testing.T) {
	re := regexp.MustCompile(`^([A-Z][a-z][a-z] [ 1-3][0-9] [0-9:]{8}) (?:mx1|dns) (?:postfix/(?:submission/)?[a-z]+\[\d+\]|dovecot|opendkim\[\d+\]|spamd\[\d+\]): \S`)
	eachMix(t, func(t *testing.T, mix string) {
		log, truth := generate(t, options(mix, 3))
		var last time.Time
		for line := range strings.Lines(log) {
			m := re.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("odd line: %s", line)
			}
			at, err := time.Parse("2006 "+time.Stamp, fmt.Sprint(truth.Start.Year(), " ", m[1]))
			if err != nil || at.Before(last) {
				t.Fatalf("%v, after %v: %s", err, last, line)
			}
			if last.IsZero() && !at.Equal(truth.Start) {
				t.Errorf("the log begins at %v, the truth says %v", at, truth.Start)
			}
			last = at
		}
		if !last.Equal(truth.End) {
			t.Errorf("the log ends at %v, the truth says %v", last, truth.End)
		}
	})
}

// No smtpd serves two clients at once.
func TestSessionsDoNotMix(t *testing.T) {
	re := regexp.MustCompile(`(postfix/(?:submission/)?smtpd\[\d+\]): (connect|disconnect) from \S+\[([^\]]+)\]`)
	eachMix(t, func(t *testing.T, mix string) {
		log, _ := generate(t, options(mix, 4))
		open := map[string]string{}
		for line := range strings.Lines(log) {
			m := re.FindStringSubmatch(line)
			switch {
			case m == nil:
			case m[2] == "connect":
				if open[m[1]] != "" {
					t.Fatalf("%s serves %s already: %s", m[1], open[m[1]], line)
				}
				open[m[1]] = m[3]
			default:
				if open[m[1]] != m[3] {
					t.Fatalf("%s serves %q: %s", m[1], open[m[1]], line)
				}
				delete(open, m[1])
			}
		}
	})
}

// The logs that may be committed name nobody's address.
func TestOnlyMadeUpAddresses(t *testing.T) {
	allowed := []netip.Prefix{
		netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"),
		netip.MustParsePrefix("198.18.0.0/15"), netip.MustParsePrefix("2001:db8::/32"),
		netip.MustParsePrefix("127.0.0.0/8"), // answers of DNS lists
	}
	re := regexp.MustCompile(`\[([0-9a-f:.]+)\]|rip=([^,]+),`)
	eachMix(t, func(t *testing.T, mix string) {
		if len(mix) == 1 {
			t.Skip("drawn from the whole Internet: never committed")
		}
		log, _ := generate(t, options(mix, 6))
		for _, m := range re.FindAllStringSubmatch(log, -1) {
			a, err := netip.ParseAddr(m[1] + m[2])
			if err != nil {
				continue // a pid
			}
			if !slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Contains(a) }) {
				t.Fatalf("%v is somebody's address", a)
			}
		}
	})
}

func TestShapes(t *testing.T) {
	t.Run("a", func(t *testing.T) {
		_, truth := generate(t, Options{Mix: "a", Seed: 1, Lines: 100000})
		if len(truth.Attackers) != 200 || truth.AttackShare < 0.38 || truth.AttackShare > 0.42 {
			t.Errorf("%d attackers with a share of %v", len(truth.Attackers), truth.AttackShare)
		}
		if seconds := truth.End.Sub(truth.Start).Seconds(); seconds < 350 || seconds > 370 {
			t.Errorf("100,000 lines at 278 a second last %v s", seconds)
		}
	})
	t.Run("b", func(t *testing.T) {
		_, truth := generate(t, Options{Mix: "b", Seed: 1, Lines: 200000})
		if truth.AttackShare < 0.38 || truth.AttackShare > 0.42 || truth.Bots < 8000 {
			t.Errorf("%d bots with a share of %v", truth.Bots, truth.AttackShare)
		}
		_, few := generate(t, Options{Mix: "b", Seed: 1, Lines: 200000, Bots: 50, V6: -1})
		if few.Bots != 50 || len(few.Attackers) != 50 {
			t.Errorf("%d bots, %d attackers; want 50", few.Bots, len(few.Attackers))
		}
		for a := range few.Attackers {
			if strings.Contains(a, ":") {
				t.Errorf("%s with no IPv6 wanted", a)
			}
		}
	})
	t.Run("c", func(t *testing.T) {
		_, truth := generate(t, Options{Mix: "c", Seed: 1, Lines: 100000})
		if len(truth.Attackers) != 0 || truth.AttackLines != 0 || truth.Kinds["honest_reject"] == 0 {
			t.Errorf("%+v", truth.Kinds)
		}
	})
	t.Run("2004", func(t *testing.T) {
		log, truth := generate(t, Options{Mix: "2004", Seed: 1})
		if truth.Lines < 60000 || truth.Lines > 100000 || len(truth.Attackers) < 225 || truth.Kinds["honest_user_unknown_450"] != 2 {
			t.Errorf("%d lines, %d attackers, kinds %v", truth.Lines, len(truth.Attackers), truth.Kinds)
		}
		want := regexp.MustCompile(`(?m)^Jul 14 0[1-4]:\d\d:\d\d dns postfix/smtpd\[\d+\]: NOQUEUE: reject: RCPT from h198-51-100-\d+\.hogehoge\.example\[198\.51\.100\.\d+\]: 450 <[a-z]+@example\.jp>: Recipient address rejected: User unknown in local recipient table; from=<> to=<[a-z]+@example\.jp> proto=ESMTP helo=<h198-51-100-\d+\.hogehoge\.example>$`)
		if len(want.FindAllString(log, -1)) < 500 {
			t.Error("the line of the time is missing")
		}
		for _, never := range []string{" 4.1.1 ", "commands=", "dsn=", "TLS"} {
			if strings.Contains(log, never) {
				t.Errorf("%q is younger than 2004", never)
			}
		}
	})
	t.Run("range", func(t *testing.T) {
		_, truth := generate(t, Options{Mix: "range", Seed: 1})
		if len(truth.Attackers) != 200 {
			t.Errorf("%d attackers", len(truth.Attackers))
		}
		for a, n := range truth.Attackers {
			if n != 12 {
				t.Errorf("%s offends %d times, want 12", a, n)
			}
		}
	})
	t.Run("provider", func(t *testing.T) {
		_, truth := generate(t, Options{Mix: "provider", Seed: 1})
		if truth.Kinds[accepted] < 6000 || truth.Kinds["honest_reject"] < 600 || len(truth.Attackers) != 0 {
			t.Errorf("kinds %v", truth.Kinds)
		}
	})
	t.Run("goodin", func(t *testing.T) {
		_, truth := generate(t, Options{Mix: "goodin", Seed: 1})
		if truth.Honest["203.0.113.77"] < 40 || truth.Honest["203.0.113.25"] == 0 || len(truth.Attackers) != 60 || truth.Attackers["203.0.113.77"] != 0 {
			t.Errorf("good sender %d, partner %d, %d attackers", truth.Honest["203.0.113.77"], truth.Honest["203.0.113.25"], len(truth.Attackers))
		}
	})
	t.Run("v6", func(t *testing.T) {
		_, truth := generate(t, Options{Mix: "v6", Seed: 1})
		nets := map[netip.Prefix]bool{}
		for a := range truth.Attackers {
			addr := netip.MustParseAddr(a)
			if !netip.MustParsePrefix("2001:db8:bad::/48").Contains(addr) {
				t.Errorf("%s is outside", a)
			}
			nets[netip.PrefixFrom(addr, 64).Masked()] = true
		}
		if len(nets) != 300 {
			t.Errorf("%d /64s", len(nets))
		}
	})
	t.Run("monitor", func(t *testing.T) {
		_, truth := generate(t, Options{Mix: "monitor", Seed: 1})
		if truth.Kinds["honest_probe"] != 2880 {
			t.Errorf("kinds %v", truth.Kinds)
		}
	})
}

func TestOptions(t *testing.T) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	log, truth := generate(t, Options{Mix: "monitor", Start: start, ISO: true, Lines: 10})
	if !strings.HasPrefix(log, "2030-01-02T03:04:05.000000+00:00 mx1 ") || truth.Lines != 10 || !truth.Start.Equal(start) {
		t.Errorf("%+v\n%s", truth, log)
	}
	for _, o := range []Options{{Mix: "z"}, {Mix: "a", Rate: -1}, {Mix: "a", Attack: 1}, {Mix: "a", Lines: -1}} {
		if _, err := Write(&bytes.Buffer{}, o); err == nil {
			t.Errorf("%+v is accepted", o)
		}
	}
}

type full struct{}

var errFull = errors.New("disk full")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestWriteError(t *testing.T) {
	if _, err := Write(full{}, Options{Mix: "c", Lines: 100}); !errors.Is(err, errFull) {
		t.Errorf("error %v", err)
	}
}
