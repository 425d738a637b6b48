package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/daemon"
)

func eventsCommand() *cobra.Command {
	var (
		conn   connection
		format string
	)
	c := &cobra.Command{
		Use:   "events",
		Short: "Follow what the daemon does",
		Long: `events prints bans, their ends, alarms and what operators do, as they happen, until
Ctrl-C. --format json is an object a line, for hooks and log shippers. A reader
that is too slow is told how many events it lost.

Exit code 1: the daemon has ended.`,
		Example: "  postmoat events\n  postmoat events --format json | jq -r 'select(.type == \"ban\").prefix'",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			d, err := conn.dial(c)
			if err != nil {
				return err
			}
			defer d.Close()
			out := c.OutOrStdout()
			ready := func() {}
			if format == "text" {
				ready = func() { fmt.Fprintln(c.ErrOrStderr(), "postmoat: following events, Ctrl-C ends it") }
			}
			return d.Events(c.Context(), ready, func(e daemon.Event) error {
				if format == "json" {
					return json.NewEncoder(out).Encode(e)
				}
				return showEvent(out, &e)
			})
		},
	}
	conn.add(c)
	addFormat(c, &format)
	return c
}

func showEvent(out io.Writer, e *daemon.Event) error {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if e.Prefix != "" {
		add("%s", e.Prefix)
	}
	if e.Door != "" {
		add("door %s", e.Door)
	}
	if e.Kind != "" {
		add("%s", e.Kind)
	}
	if e.Ended != "" {
		add("%s", e.Ended)
	}
	if e.Into != "" {
		add("into %s", e.Into)
	}
	if e.Until != nil {
		add("until %s", ahead(e.Until, e.Time))
	}
	if e.Members > 0 {
		add("%s", several(e.Members, "member"))
	}
	if e.Level > 0 {
		add("level %d", e.Level)
	}
	if e.Knocks > 0 {
		add("%s knocks", number(e.Knocks))
	}
	if e.Lost > 0 {
		add("%s events lost: this reader was too slow", number(e.Lost))
	}
	line := strings.Join(parts, ", ")
	if e.Text != "" {
		if line != "" {
			line += ": "
		}
		line += e.Text
	}
	_, err := fmt.Fprintf(out, "%s %-6s %s\n", e.Time.Local().Format(time.DateTime), clean(e.Type), clean(line))
	return err
}
