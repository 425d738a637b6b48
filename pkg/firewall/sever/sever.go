// Package sever destroys the server's own sockets to banned clients.
//
// A firewall that drops a client's packets leaves the smtpd process of its open
// session waiting until smtpd_timeout (five minutes): a ban of many clients can
// pin every smtpd there is. Once the sockets are destroyed the processes are
// told at once (ECONNABORTED), and the clients get a reset.
//
// On Linux this is SOCK_DESTROY of sock_diag(7); elsewhere New says that it
// cannot be had (pf kills states by itself).
package sever

// A Result is what Sever found and did.
type Result struct {
	Examined  int // sockets at mail ports that were looked at
	Destroyed int // those among them that were destroyed
}
