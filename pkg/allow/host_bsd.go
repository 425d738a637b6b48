//go:build !linux

package allow

import (
	"context"
	"errors"
	"os/exec"
)

// gateways asks route(8). An exit code other than 0 is its way to say that
// there is no default route in that family.
func (h *host) gateways(ctx context.Context) (part, error) {
	var all []gateway
	for _, family := range []string{"-inet", "-inet6"} {
		out, err := h.o.Run(ctx, "route", "-n", "get", family, "default")
		var code *exec.ExitError
		if err != nil && !errors.As(err, &code) {
			return part{}, err
		}
		if g, ok := parseRouteGet(out); ok {
			all = append(all, g)
		}
	}
	return gatewayEntries(all), nil
}

// sessions tells nothing: what these systems keep about logins names hosts only
// in a field that any user can have written (ulog-helper, utmpupd).
func (h *host) sessions() part {
	return part{sources: []Source{{Name: "login sessions",
		Text: "this system does not say safely who is logged in from where: list the networks you log in from in allow.networks"}}}
}
