package main

import (
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/cover"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/score"
	builtin "github.com/postmoat/postmoat/rules"
)

// lines say the configuration as an operator writes it, one key a line: the
// difference of two is what a reload prints. fixed are those that only a restart
// can change.
func (l *loaded) lines(sources []daemon.Source) (lines, fixed []string, err error) {
	add := func(key string, v any) { lines = append(lines, fmt.Sprintf("%s: %v", key, v)) }
	fix := func(key string, v any) { fixed = append(fixed, fmt.Sprintf("%s: %v", key, v)) }
	for _, s := range sources {
		text := s.Key
		if s.Location != nil {
			text += ", timezone: " + s.Location.String()
		}
		add("sources", text)
	}
	for _, w := range l.Windows {
		add("windows."+w.Name, flow(w))
	}
	specs, err := config.LoadRules(l.Rules, builtin.FS)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range specs {
		if !s.Disabled {
			lines = append(lines, fmt.Sprintf("rule: %s (%s)", s.Name, fingerprint(s)))
		}
	}
	add("ban.time", config.Duration(l.Ban.Time))
	add("ban.max", config.Duration(l.Ban.Max))
	add("ban.memory", config.Duration(l.Ban.Memory))
	add("ban.parole", config.Duration(l.Ban.Parole))
	for _, c := range []struct {
		family string
		o      cover.Options
	}{{"ipv4", l.Cover4}, {"ipv6", l.Cover6}} {
		add("collapse."+c.family+".price", c.o.Price)
		add("collapse."+c.family+".rungs", rungs(c.o.Rungs))
	}
	add("collapse.budget", l.Budget)
	for _, n := range l.Allow.Networks {
		add("allow.networks", "["+n.Prefix.String()+"]")
	}
	for _, f := range l.Allow.Files {
		add("allow.files", "["+f+"]")
	}
	for _, n := range l.Allow.Names {
		add("allow.names", "["+n+"]")
	}
	add("allow.private", l.Allow.Private)
	add("breaker.addresses-per-minute", l.Breaker.AddressesPerMinute)
	add("breaker.known-good", l.Breaker.KnownGood)
	add("limits.clients", l.Clients)

	fix("doors.smtp", ports(l.Doors[maillog.SMTP]))
	fix("doors.login", ports(l.Doors[maillog.Login]))
	fix("firewall.backend", l.Firewall.Backend)
	fix("firewall.action", l.Firewall.Action)
	fix("state", l.State)
	fix("control.socket", l.Control.Socket)
	fix("control.group", strconv.Quote(l.Control.Group))
	fix("control.mode", fmt.Sprintf("%04o", l.Control.Mode))
	fix("metrics.listen", strconv.Quote(l.Metrics.Listen))
	return lines, fixed, nil
}

// flow is a window as it stands in the configuration.
func flow(w score.Window) string {
	text := fmt.Sprintf("{span: %s, limit: %d", config.Duration(w.Span), w.Limit)
	if w.Share != 0 {
		text += fmt.Sprintf(", share: %g", float64(w.Share)/1000)
	}
	if w.Width4 != 0 || w.Width6 != 0 {
		text += fmt.Sprintf(", width: {ipv4: %d, ipv6: %d}, clients: %d", w.Width4, w.Width6, w.Clients)
	}
	return text + "}"
}

func rungs(list []cover.Rung) string {
	need := make(map[int]int)
	for _, r := range list {
		need[r.Bits] = r.Need
	}
	var parts []string
	for _, bits := range slices.Backward(slices.Sorted(maps.Keys(need))) {
		parts = append(parts, fmt.Sprintf("%d: %d", bits, need[bits]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func ports(list []uint16) string {
	return strings.ReplaceAll(fmt.Sprint(list), " ", ", ")
}

// fingerprint is a short fingerprint of what a rule does: one that changed shows as
// gone and new.
func fingerprint(s rule.Spec) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%+v|%d|%v|%s|%s|%s|%s", s.When, s.Weight, s.Windows, s.Per, s.Distinct, s.Times, s.Door)
	return fmt.Sprintf("%08x", h.Sum32())
}
