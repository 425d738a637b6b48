package maillog

// Parts are what lines of a kind can tell beside the client, the host and the
// program.
type Parts uint16

// The parts of an [Event].
const (
	PartStage     Parts = 1 << iota
	PartReply           // Code and DSN
	PartAddresses       // Helo, Sender, Recipient and Proto
	PartSASL            // SASLMethod and SASLUser
	PartName            // ClientName
	PartPort
	PartService
	PartSummary // Commands, and AuthFailed with it
	PartSession // the Joiner knows the session
)

// Parts says what lines of kind k can tell; what it leaves out they never do.
func (k Kind) Parts() Parts {
	switch {
	case k == SMTPDProxyReject:
		return PartStage | PartReply | PartAddresses | PartSASL | PartService
	case k == SMTPDNumericHostname:
		return PartService
	case k == SMTPDPTRMismatch:
		return PartService | PartSession
	case k >= SMTPDConnect && k <= SMTPDTLSCert:
		return PartName | PartPort | PartService | PartSession | k.smtpdParts()
	case k >= PostscreenConnect && k <= PostscreenDisconnect:
		p := PartPort | PartService | PartSession
		switch k {
		case PostscreenReject:
			p |= PartStage | PartReply | PartAddresses
		case PostscreenPipelining, PostscreenCmdTime, PostscreenCmdLength, PostscreenCmdCount:
			p |= PartStage
		}
		return p
	case k >= TLSProxyConnect && k <= TLSProxyTLSFail:
		return PartPort
	case k == AnvilStat:
		return PartService
	case k >= CleanupReject && k <= CleanupStrip:
		return PartReply | PartAddresses
	case k == CleanupMilterReject:
		return PartName | PartStage | PartReply | PartAddresses | PartSASL
	case k == CleanupMilterHold, k == CleanupMilterDiscard:
		return PartName | PartStage | PartAddresses | PartSASL
	case k >= DovecotAuthFail && k <= DovecotNoAuth:
		return PartService | PartSASL
	}
	return 0
}

func (k Kind) smtpdParts() Parts {
	switch k {
	case SMTPDReject, SMTPDRejectWarning, SMTPDMilterReject:
		return PartStage | PartReply | PartAddresses | PartSASL
	case SMTPDBareLF, SMTPDHold, SMTPDDiscard, SMTPDRedirect, SMTPDFilter, SMTPDBcc, SMTPDDelay, SMTPDInfo,
		SMTPDWarn, SMTPDHangup, SMTPDPermit, SMTPDMilterHold, SMTPDMilterDiscard:
		return PartStage | PartAddresses | PartSASL
	case SMTPDLostConnection, SMTPDTimeout, SMTPDTooManyErrors, SMTPDPipelining, SMTPDBadAddress,
		SMTPDETRNDenied, SMTPDTLSRefused, SMTPDTLSAbort:
		return PartStage
	case SMTPDSASLFail, SMTPDSASLAborted, SMTPDQueuedAuth:
		return PartSASL
	case SMTPDDisconnect:
		return PartSummary
	}
	return 0
}

// CanBe says whether a line of kind k can have reason r.
func (k Kind) CanBe(r Reason) bool {
	switch k {
	case SMTPDReject, SMTPDRejectWarning:
		return r >= RelayDenied && r <= MXBackup || r == OtherReason || r == BareLF && k == SMTPDRejectWarning
	case SMTPDBareLF:
		return r == BareLF
	case SMTPDMilterReject, CleanupMilterReject:
		return r == MilterText || r == Greylist
	case PostscreenReject:
		return r >= ServiceUnavailable && r <= PortsBusy || r == RBL || r == OtherReason
	case SMTPDSASLFail:
		return r >= AuthCredentials && r <= AuthBackend
	case SMTPDSASLAborted:
		return r == AuthProtocol
	case DovecotLoginFail, DovecotAuthFail:
		return r == AuthCredentials
	}
	return r == NoReason
}

// At says whether a line of kind k can be of door d.
func (k Kind) At(d Door) bool {
	switch {
	case k >= DovecotAuthFail && k <= DovecotNoAuth:
		return d == Login
	case k >= SMTPDConnect && k <= SMTPDTLSCert, k == AnvilStat:
		return true
	}
	return d == SMTP
}
