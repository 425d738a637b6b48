package pf_test

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
)

// numbers are rules with the numbers of ports in place of their names, so that
// they can be loaded again.
func numbers(rules string) string {
	return strings.NewReplacer("= smtp\n", "= 25\n", "= submission\n", "= 587\n", "= imaps\n", "= 993\n", "= imap\n", "= 143\n", "= pop3s\n", "= 995\n", "= pop3\n", "= 110\n").Replace(rules)
}

// words are all that may ever be on a command line, but for addresses.
var words = regexp.MustCompile(`^(-a postmoat(_b)?(/cut)? -t postmoat(_b)?_(allow|(smtp|login)_(hosts|nets)) -T (add|delete) -f -` +
	`|(-v )?-a postmoat(_b)?(/cut)? -t postmoat(_b)?_(allow|(smtp|login)_(hosts|nets)) -T (show|flush|kill)` +
	`|-a postmoat(_b)?/cut -t postmoat(_b)?_(smtp|login)_(hosts|nets) -T expire [0-9]+` +
	`|-a postmoat(_b)?(/cut)? -t (blacklist|-x y|mine) -T kill` + // the foreign tables of these tests
	`|-a postmoat(_b)?(/cut)? -f -` +
	`|(-a postmoat(_b)?(/cut)? )?-s rules` +
	`|-a postmoat(_b)?(/cut)? -v -v -s Tables` +
	`|-a postmoat(_b)?(/cut)? -F rules` +
	`|-s (info|states)` +
	`|-k ADDRESS)$`)

// allowed checks every run of pfctl: fixed words and parsed prefixes only, in
// canonical form, a clean environment, small requests.
func allowed(t *testing.T, w *pftest.World) {
	t.Helper()
	calls := w.Calls()
	if len(calls) == 0 {
		t.Error("nothing was run")
	}
	for _, c := range calls {
		line := strings.Join(c.Args, " ")
		if rest, ok := strings.CutPrefix(line, "-k "); ok && canonical(rest) {
			line = "-k ADDRESS"
		}
		if !words.MatchString(line) {
			t.Fatalf("run: pfctl %q", c.Args)
		}
		if len(c.Names) > 0 {
			t.Fatalf("pfctl %q looked up %q", c.Args, c.Names)
		}
		if c.Code == pftest.NotCovered {
			t.Fatalf("pfctl %q: the fake does not cover it", c.Args)
		}
		for _, e := range c.Env {
			if name, _, _ := strings.Cut(e, "="); name != "PATH" && name != "LC_ALL" && name != "TZ" {
				t.Fatalf("pfctl %q got %q", c.Args, e)
			}
		}
		switch {
		case strings.HasSuffix(line, " -T add -f -"), strings.HasSuffix(line, " -T delete -f -"):
			n := 0
			for entry := range strings.Lines(c.Stdin) {
				entry = strings.TrimSuffix(entry, "\n")
				if strings.HasSuffix(line, " -T delete -f -") {
					entry = strings.TrimPrefix(entry, "!")
				}
				if n++; !canonical(entry) {
					t.Fatalf("pfctl %q got %q", c.Args, entry)
				}
			}
			if n == 0 || n > 10_000 {
				t.Fatalf("pfctl %q got %d entries", c.Args, n)
			}
		case strings.HasSuffix(line, " -f -"):
			for rule := range strings.Lines(c.Stdin) {
				if !ruleLine.MatchString(rule) {
					t.Fatalf("pfctl %q got %q", c.Args, rule)
				}
			}
		case c.Stdin != "":
			t.Fatalf("pfctl %q got something to read: %q", c.Args, c.Stdin)
		}
	}
}

var ruleLine = regexp.MustCompile(`^(table <postmoat[a-z_]{1,23}> persist( counters)?` +
	`|anchor "cut" in proto tcp from ! <postmoat(_b)?_allow> to any` +
	`|block drop in quick proto tcp from <postmoat[a-z_]{1,23}> to any port \{( [0-9]+)+ \})\n$`)

// canonical is what netip writes, unmapped, without a zone, host bits clear and
// no length for a single address.
func canonical(s string) bool {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		return err == nil && a.String() == s && !a.Is4In6() && a.Zone() == ""
	}
	p, err := netip.ParsePrefix(s)
	return err == nil && p.String() == s && p == p.Masked() && !p.IsSingleIP() && !p.Addr().Is4In6()
}
