package main

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/config"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/maillog"
	"github.com/postmoat/postmoat/pkg/rule"
	"github.com/postmoat/postmoat/pkg/source"
	builtin "github.com/postmoat/postmoat/rules"
)

// daemonSettings is the configuration as the daemon takes it.
func (l *loaded) daemonSettings(ctx context.Context, log *slog.Logger) (daemon.Settings, error) {
	rules, err := l.rules()
	if err != nil {
		return daemon.Settings{}, err
	}
	s := daemon.Settings{Engine: l.engine(rules, nil), Allow: l.allowOptions(true)}
	s.Allow.SSHConnection = "" // that of who starts the daemon is nobody's
	if s.Sources, err = l.sources(ctx, log); err != nil {
		return daemon.Settings{}, err
	}
	s.Lines, s.Fixed, err = l.lines(s.Sources)
	return s, err
}

// sources are the logs to follow.
func (l *loaded) sources(ctx context.Context, log *slog.Logger) ([]daemon.Source, error) {
	var out []daemon.Source
	if l.Sources.Auto {
		choice, why, err := source.Detect(ctx, "", allow.Exec)
		if err != nil {
			return nil, hinted{fmt.Errorf("sources: auto: %w", err), "name the log with sources: in the configuration"}
		}
		log.Info("sources: auto", "chosen", why)
		if choice.File != "" {
			out = append(out, fileSource(choice.File, nil))
		}
		if choice.Journal != nil {
			out = append(out, journalSource(*choice.Journal, nil))
		}
	}
	for _, s := range l.Sources.List {
		if s.File != "" {
			out = append(out, fileSource(s.File, s.Timezone))
			continue
		}
		o := source.JournalOptions{Identifiers: s.Journal.Identifiers}
		if s.Journal.Slice != "" {
			o.Slices = []string{s.Journal.Slice}
		}
		out = append(out, journalSource(o, s.Timezone))
	}
	list := make([]source.Source, len(out))
	for i, s := range out {
		list[i] = s.New(source.FromEnd)
	}
	if err := source.Distinct(ctx, list, allow.Exec); err != nil {
		return nil, fmt.Errorf("sources: %w", err)
	}
	return out, nil
}

func fileSource(path string, zone *time.Location) daemon.Source {
	// The name under which its place is kept must not depend on where the
	// daemon was started.
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	return daemon.Source{
		Key: "file:" + path, Location: zone,
		New: func(start source.Start) source.Source {
			return source.NewFile(source.FileOptions{Path: path, Start: start})
		},
	}
}

func journalSource(o source.JournalOptions, zone *time.Location) daemon.Source {
	var names []string
	for _, list := range [][]string{o.Slices, o.Units, o.Identifiers} {
		names = append(names, list...)
	}
	return daemon.Source{
		Key: "journal:" + strings.Join(names, ","), Location: zone,
		New: func(start source.Start) source.Source {
			o := o
			o.Start = start
			return source.NewJournal(o)
		},
	}
}

// lines say the configuration in words, for the difference that a reload logs.
// fixed are those that only a restart can change.
func (l *loaded) lines(sources []daemon.Source) (lines, fixed []string, err error) {
	add := func(list *[]string, key string, v any) {
		text, e := json.Marshal(v)
		if e != nil {
			err = e
		}
		*list = append(*list, key+": "+string(text))
	}
	for _, s := range sources {
		zone := "the host's"
		if s.Location != nil {
			zone = s.Location.String()
		}
		lines = append(lines, fmt.Sprintf("source: %s, time zone %s", s.Key, zone))
	}
	for _, w := range l.Windows {
		add(&lines, "windows."+w.Name, w)
	}
	specs, e := config.LoadRules(l.Rules, builtin.FS)
	if e != nil {
		return nil, nil, e
	}
	for _, s := range specs {
		if !s.Disabled {
			lines = append(lines, fmt.Sprintf("rule: %s (%s)", s.Name, fingerprint(s)))
		}
	}
	add(&lines, "ban", l.Ban)
	add(&lines, "collapse.ipv4", l.Cover4)
	add(&lines, "collapse.ipv6", l.Cover6)
	add(&lines, "collapse.budget", l.Budget)
	for _, n := range l.Allow.Networks {
		add(&lines, "allow.networks", n.Prefix)
	}
	for _, f := range l.Allow.Files {
		add(&lines, "allow.files", f)
	}
	for _, n := range l.Allow.Names {
		add(&lines, "allow.names", n)
	}
	add(&lines, "allow.private", l.Allow.Private)
	add(&lines, "breaker", l.Breaker)
	add(&lines, "limits.clients", l.Clients)

	add(&fixed, "doors.smtp", l.Doors[maillog.SMTP])
	add(&fixed, "doors.login", l.Doors[maillog.Login])
	add(&fixed, "firewall", l.Firewall)
	add(&fixed, "state", l.State)
	add(&fixed, "control", l.Control)
	add(&fixed, "metrics", l.Metrics)
	return lines, fixed, err
}

// fingerprint is a short fingerprint of what a rule does: one that changed shows as
// gone and new.
func fingerprint(s rule.Spec) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%+v|%d|%v|%s|%s|%s|%s", s.When, s.Weight, s.Windows, s.Per, s.Distinct, s.Times, s.Door)
	return fmt.Sprintf("%08x", h.Sum32())
}
