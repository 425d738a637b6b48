package pf

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/postmoat/postmoat/pkg/firewall"
)

// A Diagnosis says whether bans in pf would have any effect on this host.
type Diagnosis struct {
	System   string   // of Advice: runtime.GOOS
	Problems []string // what keeps bans from having an effect, most important first
	Warnings []string // what may
	Advice   string   // what to do about them, with the line to add to pf.conf; "" when there are none
}

// OK says that there are no problems. There may be warnings.
func (d Diagnosis) OK() bool { return len(d.Problems) == 0 }

// Diagnose looks at pf and changes nothing. It needs no Setup, nor a lock. That
// it cannot look is an error: ErrMissingProgram, ErrMissingModule,
// ErrNotPermitted.
func Diagnose(ctx context.Context, o Options) (Diagnosis, error) {
	d := Diagnosis{System: runtime.GOOS}
	b, err := New(o)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return d, err
	}
	m, err := b.main()
	if err != nil {
		return d, explain("check", err)
	}
	d.Problems = m.missing(b.names.outer)
	if m.called {
		for _, rule := range m.shadows {
			d.Warnings = append(d.Warnings, fmt.Sprintf("a rule before the anchor lets packets pass at once: %s", rule))
		}
	}
	if !d.OK() || len(d.Warnings) > 0 {
		d.Advice = Advice(d.System, b.names.outer)
	}
	return d, nil
}

// Advice is what an operator has to do once, on openbsd, freebsd or darwin, so
// that the main rules call the anchor. owner is that of the options, "" the
// default.
func Advice(system, owner string) string {
	if owner == "" {
		owner = firewall.DefaultOwner
	}
	var lines []string
	switch system {
	case "darwin":
		lines = []string{
			"Add this line to /etc/pf.conf, after the line anchor \"com.apple/*\":",
			"",
			"    anchor %q",
			"",
			"then load it and switch pf on:",
			"",
			"    pfctl -f /etc/pf.conf",
			"    pfctl -E",
			"",
			"macOS starts with pf off, so that pfctl -E is needed after each start, and a",
			"system update may put its own /etc/pf.conf in place: check again after one.",
		}
	case "freebsd":
		lines = []string{
			"Add this line to /etc/pf.conf, after nat and rdr lines and before the first",
			"pass rule that has the word quick:",
			"",
			"    anchor %q",
			"",
			"then switch pf on, or load the file again where it is on:",
			"",
			"    sysrc pf_enable=YES",
			"    service pf start",
			"    pfctl -f /etc/pf.conf",
		}
	default:
		lines = []string{
			"Add this line to /etc/pf.conf, before the first pass rule that has the word",
			"quick:",
			"",
			"    anchor %q",
			"",
			"then load it, and switch pf on where it is off:",
			"",
			"    pfctl -f /etc/pf.conf",
			"    pfctl -e",
		}
	}
	return strings.Replace(strings.Join(lines, "\n")+"\n", "%q", fmt.Sprintf("%q", owner), 1)
}
