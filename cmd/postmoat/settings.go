package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/engine"
	"github.com/postmoat/postmoat/pkg/prefix"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/score"
	builtin "github.com/postmoat/postmoat/rules"
)

// defaultConfig is read where it exists and no --config names another.
const defaultConfig = "/etc/postmoat/postmoat.yaml"

// settings are the flags that name configuration and rules.
type settings struct {
	config string
	paths  []string
}

func (s *settings) add(c *cobra.Command) {
	c.Flags().StringVar(&s.config, "config", "", "configuration `FILE` (default "+defaultConfig+" if there is one)")
	c.Flags().StringArrayVar(&s.paths, "rules", nil, "rules: `DIR`, file or the word builtin, instead of those the configuration names; may be repeated")
}

// loaded is a configuration and where it is from.
type loaded struct {
	*config.Config
	file string // "": the defaults
}

func (s *settings) load() (*loaded, error) {
	file := s.config
	if file == "" {
		if _, err := os.Stat(defaultConfig); errors.Is(err, fs.ErrNotExist) {
			l := &loaded{config.Default(), ""}
			return s.override(l), nil
		}
		file = defaultConfig
	}
	cfg, err := config.Load(file)
	if err != nil {
		return nil, err
	}
	return s.override(&loaded{cfg, file}), nil
}

func (s *settings) override(l *loaded) *loaded {
	if len(s.paths) > 0 {
		l.Rules = s.paths
	}
	return l
}

func (l *loaded) name() string {
	if l.file == "" {
		return "default configuration"
	}
	return l.file
}

// rules loads and compiles the rules.
func (l *loaded) rules() (*rule.Set, error) {
	specs, err := config.LoadRules(l.Rules, builtin.FS)
	set, more := rule.Compile(specs, windowNames(l.Windows))
	if err = errors.Join(err, more); err != nil {
		return nil, err // every mistake at once
	}
	return set, nil
}

func windowNames(ws []score.Window) []string {
	var names []string
	for _, w := range ws {
		names = append(names, w.Name)
	}
	return names
}

// clockFlags are the flags that say how stamps are to be read.
type clockFlags struct {
	zone string
	now  string
}

func (f *clockFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.zone, "timezone", "", "`ZONE` of stamps that name none, such as Europe/Berlin (default: that of this machine)")
	c.Flags().StringVar(&f.now, "now", "", "`TIME` near which the first stamp without a year lies (default: the file's own time)")
}

// parse returns the zone and the --now time, zero when it was not given.
func (f *clockFlags) parse() (*time.Location, time.Time, error) {
	loc := time.Local
	if f.zone != "" {
		l, err := time.LoadLocation(f.zone)
		if err != nil {
			return nil, time.Time{}, hinted{usagef("--timezone %s: not known", f.zone), "write a name like Europe/Berlin or UTC"}
		}
		loc = l
	}
	now, err := parseTime("--now", f.now, loc)
	return loc, now, err
}

// timeForms are the ways a time may be given.
var timeForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02 15:04", "2006-01-02"}

// parseTime reads the time of a flag; "" is the zero time.
func parseTime(flag, s string, loc *time.Location) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, form := range timeForms {
		if t, err := time.ParseInLocation(form, s, loc); err == nil {
			return t, nil
		}
	}
	return time.Time{}, hinted{usagef("%s %s: not a time", flag, s), fmt.Sprintf("write it like %q or %q", "2026-11-23 08:00", "2026-11-23T08:00:00Z")}
}

// collect collects what is never banned. asHost looks at this host too.
func (l *loaded) collect(ctx context.Context, asHost bool) (*allow.List, error) {
	list, err := allow.New(l.allowOptions(asHost)).Collect(ctx)
	if err != nil {
		return nil, fmt.Errorf("collect allowlist: %w", err)
	}
	return list, nil
}

// allowOptions say where the allowlist comes from.
func (l *loaded) allowOptions(asHost bool) allow.Options {
	o := allow.Options{
		Files:         l.Allow.Files,
		Names:         l.Allow.Names,
		Private:       l.Allow.Private,
		Host:          asHost,
		NoDNS:         !asHost,
		SSHConnection: os.Getenv("SSH_CONNECTION"),
	}
	for _, n := range l.Allow.Networks {
		o.Networks = append(o.Networks, allow.Network{Prefix: n.Prefix, Origin: n.Pos.String()})
	}
	if !asHost {
		o.SSHConnection = ""
	}
	return o
}

// allow is the allowlist for a replay; notes say what is wrong with it or was
// left out.
func (l *loaded) allow(ctx context.Context, asHost bool) (*allow.List, []string, error) {
	list, err := l.collect(ctx, asHost)
	if err != nil {
		return nil, nil, err
	}
	var notes []string
	for _, p := range list.Problems() {
		notes = append(notes, "Allowlist: "+p.String()+".")
	}
	if list.BanNothing() {
		return nil, nil, hinted{errors.New(strings.Join(notes, "\n")), "without its allowlist postmoat bans nothing"}
	}
	if list.NoWidening() {
		notes = append(notes, "The allowlist is not complete, so nothing wider than a host was banned.")
	}
	if !asHost && len(l.Allow.Names) > 0 {
		notes = append(notes, fmt.Sprintf("The DNS names of the allowlist (%s) were not resolved; --as-host does that.", strings.Join(l.Allow.Names, ", ")))
	}
	return list, notes, nil
}

// engine puts the options of the core together.
func (l *loaded) engine(rules *rule.Set, allowed *prefix.Set) engine.Options {
	return engine.Options{
		Rules:   rules,
		Windows: l.Windows,
		Ban: ban.Options{
			Time: l.Ban.Time, Max: l.Ban.Max, Memory: l.Ban.Memory, Parole: l.Ban.Parole,
			Cover4: l.Cover4, Cover6: l.Cover6, Budget: l.Budget,
		},
		Allow:              allowed,
		Clients:            l.Clients,
		AddressesPerMinute: l.Breaker.AddressesPerMinute,
		KnownGood:          l.Breaker.KnownGood,
	}
}
