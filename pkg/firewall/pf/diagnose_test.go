package pf_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/firewall/firewalltest"
	"github.com/postmoat/postmoat/pkg/firewall/pf"
	"github.com/postmoat/postmoat/pkg/firewall/pf/pftest"
)

// TestDiagnose: bans that have no effect are the silent failure.
func TestDiagnose(t *testing.T) {
	const off, uncalled = "pf is not enabled", `anchor "postmoat" is not called by the main rules`
	for name, test := range map[string]struct {
		rules    string
		off      bool
		problems []string
		warnings int
	}{
		"as it should be":           {rules: "block in all\nanchor \"postmoat\"\npass in quick proto tcp from any to any port 25\n"},
		"an absolute name":          {rules: "anchor \"/postmoat\"\n"},
		"with conditions":           {rules: "anchor \"postmoat\" in proto tcp from any to any port 25\n"},
		"not called":                {rules: "pass in all\n", problems: []string{uncalled}},
		"only what is below":        {rules: "anchor \"postmoat/*\"\n", problems: []string{uncalled}},
		"another of that beginning": {rules: "anchor \"postmoat_b\"\n", problems: []string{uncalled}},
		"another one's below":       {rules: "anchor \"com.apple/*\"\n", problems: []string{uncalled}},
		"pf is off":                 {rules: "anchor \"postmoat\"\n", off: true, problems: []string{off}},
		"nothing is right":          {off: true, problems: []string{off, uncalled}},
		"others before it":          {rules: "pass in quick proto tcp from any to any port 22\npass out quick all\nanchor \"postmoat\"\n"},
		"everything before it":      {rules: "pass quick all\nanchor \"postmoat\"\n", warnings: 1},
		"too late":                  {rules: "pass in quick proto tcp from any to any port 25\npass out quick all\nanchor \"postmoat\"\n", warnings: 1},
	} {
		for _, flavour := range pftest.Flavours {
			w := pftest.New(t, flavour)
			w.Load(test.rules)
			w.Change(func(s *pftest.State) { s.Enabled = !test.off })
			before := w.Snapshot()
			d, err := pf.Diagnose(t.Context(), pf.Options{Options: firewall.Options{Ports: firewalltest.Ports}, Path: w.Path()})
			must(t, err)
			if !slices.Equal(d.Problems, test.problems) || len(d.Warnings) != test.warnings || d.OK() != (len(test.problems) == 0) {
				t.Errorf("%s: %s: %+v", flavour, name, d)
			}
			if (d.Advice != "") != (len(test.problems)+test.warnings > 0) {
				t.Errorf("%s: %s: advice %q", flavour, name, d.Advice)
			}
			if got := w.Snapshot(); got != before {
				t.Errorf("%s: %s: changed\n%s", flavour, name, got)
			}

			// Check says the same of a firewall that is set up.
			b := open(t, w, firewall.Options{Ports: firewalltest.Ports})
			must(t, b.Setup(t.Context(), nil))
			drift, err := b.Check(t.Context())
			must(t, err)
			if !slices.Equal(drift.Missing, test.problems) || drift.Unproven {
				t.Errorf("%s: %s: check: %+v", flavour, name, drift)
			}
		}
	}
}

// TestAdvice: the line that it gives is one that makes Diagnose content.
func TestAdvice(t *testing.T) {
	for system, words := range map[string][]string{
		"openbsd": {"/etc/pf.conf", "pfctl -f /etc/pf.conf", "pfctl -e"},
		"freebsd": {"sysrc pf_enable=YES", "after nat and rdr lines"},
		"darwin":  {"pfctl -E", "com.apple/*", "system update"},
	} {
		text := pf.Advice(system, "")
		for _, word := range words {
			if !strings.Contains(text, word) {
				t.Errorf("%s: no %q in\n%s", system, word, text)
			}
		}
		w := pftest.New(t, pftest.FreeBSD)
		for line := range strings.Lines(text) {
			if rule, ok := strings.CutPrefix(line, "    anchor"); ok {
				w.Load("anchor" + rule)
			}
		}
		d, err := pf.Diagnose(t.Context(), pf.Options{Options: firewall.Options{Ports: firewalltest.Ports}, Path: w.Path()})
		if err != nil || !d.OK() {
			t.Errorf("%s: %+v, %v", system, d, err)
		}
	}
	if text := pf.Advice("freebsd", "mail"); !strings.Contains(text, `anchor "mail"`) {
		t.Errorf("another owner: %q", text)
	}
}
