package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postmoat/postmoat/pkg/config"
)

func checkCommand() *cobra.Command {
	var (
		set      settings
		defaults bool
		kernel   bool
		logs     bool
	)
	c := &cobra.Command{
		Use:   "check",
		Short: "Check configuration and rules",
		Long: `check reads the configuration and the rules, reports every mistake with file and
line, and runs the examples of every rule. It changes nothing.

With --firewall it also tries which firewalls work on this host, and says why
not: each is set up under a name of its own and removed again at once.

With --sources it also says which logs the daemon would follow here, and whether
its user may read them.

Exit code 0: all is well. 1: something is wrong.`,
		Example: `  postmoat check
  postmoat check --config /etc/postmoat/postmoat.yaml --rules /etc/postmoat/rules.d
  postmoat check --firewall --sources
  postmoat check --defaults > postmoat.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			out := c.OutOrStdout()
			if defaults {
				_, err := fmt.Fprint(out, config.Defaults())
				return err
			}
			cfg, err := set.load()
			if err != nil {
				return err
			}
			rules, err := cfg.rules()
			if err != nil {
				return err
			}
			wrong := rules.CheckExamples()
			wrong = append(wrong, rules.CheckHostile(hostileLines())...)
			if len(wrong) > 0 {
				errs := make([]error, len(wrong))
				for i := range wrong {
					errs[i] = &wrong[i]
				}
				return errors.Join(errs...)
			}
			for _, w := range cfg.Warnings() {
				fmt.Fprintln(out, "warning: "+w)
			}
			if idle := rules.Idle(); len(idle) > 0 {
				fmt.Fprintf(out, "warning: %d shipped rules are out, because none of their windows is configured: %s\n", len(idle), strings.Join(idle, ", "))
			}
			for _, name := range rules.Unused() {
				fmt.Fprintf(out, "warning: window %q: no rule names it, so nothing ever counts there\n", name)
			}
			if _, err := fmt.Fprintf(out, "%s: ok\n%d rules of %s: ok, their examples read as they say\n", cfg.name(), len(rules.Rules()), strings.Join(cfg.Rules, ", ")); err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), firewallTimeout)
			defer cancel()
			print := func(format string, args ...any) { fmt.Fprintf(out, format, args...) }
			if logs {
				err = cfg.checkSources(ctx, print)
			}
			if kernel {
				err = errors.Join(err, cfg.checkFirewall(ctx, print))
			}
			return err
		},
	}
	set.add(c)
	c.Flags().BoolVar(&kernel, "firewall", false, "also try which firewalls work on this host")
	c.Flags().BoolVar(&logs, "sources", false, "also say which logs the daemon would follow, and whether it may read them")
	c.Flags().BoolVar(&defaults, "defaults", false, "print the default configuration with comments and stop")
	return c
}
