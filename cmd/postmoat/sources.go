package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"github.com/postmoat/postmoat/pkg/allow"
	"github.com/postmoat/postmoat/pkg/daemon"
	"github.com/postmoat/postmoat/pkg/source"
)

// daemonSettings is the configuration as the daemon takes it.
func (l *loaded) daemonSettings(ctx context.Context, log *slog.Logger) (daemon.Settings, error) {
	rules, err := l.rules()
	if err != nil {
		return daemon.Settings{}, err
	}
	for _, w := range l.Warnings(rules) {
		log.Warn("the configuration does less than it seems", "why", w)
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
