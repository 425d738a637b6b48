package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/control"
)

func reloadCommand() *cobra.Command {
	return operate("reload", "Make the daemon read its configuration again",
		`reload makes the daemon read its configuration, rules and allowlist again, as
SIGHUP does. What is broken leaves the running configuration in force, and the
exit code is 1. Bans and scores survive. What changed is printed: + is new, - is
gone, ! needs a restart.`,
		func(c *cobra.Command, d *control.Client) error {
			r, err := d.Reload(c.Context())
			if err != nil {
				return err
			}
			if len(r.Changes) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "read again: nothing has changed")
				return nil
			}
			for _, line := range r.Changes {
				fmt.Fprintln(c.OutOrStdout(), clean(line))
			}
			return nil
		})
}

func pauseCommand() *cobra.Command {
	return operate("pause", "Ban nobody new until resume",
		`pause keeps new bans away. Lines are read and scored as before, and what is
banned stays so until its end ('postmoat unban --all' lifts it).`,
		func(c *cobra.Command, d *control.Client) error {
			if err := d.Pause(c.Context()); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), "paused: nobody new is banned until 'postmoat resume'")
			return err
		})
}

func resumeCommand() *cobra.Command {
	return operate("resume", "Ban again after pause, and close the breaker",
		`resume ends a pause. It also closes the breaker, which had stopped new wide bans
because there were too many at once.`,
		func(c *cobra.Command, d *control.Client) error {
			if err := d.Resume(c.Context()); err != nil {
				return err
			}
			_, err := fmt.Fprintln(c.OutOrStdout(), "resumed: offenders are banned")
			return err
		})
}

// operate makes a command that tells the daemon one thing.
func operate(name, short, long string, do func(*cobra.Command, *control.Client) error) *cobra.Command {
	var conn connection
	c := &cobra.Command{
		Use: name, Short: short, Long: long, Example: "  postmoat " + name, Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := conn.dial(c)
			if err != nil {
				return err
			}
			defer d.Close()
			return do(c, d)
		},
	}
	conn.add(c)
	return c
}
