package demo

import "github.com/doorward/doorward/demo/sequence"

// flow is one of the seven ways in which OAuth 2.0 and OpenID Connect hand out tokens, with the
// example by which the demo tells of it.
type flow struct {
	Name    string // in the standard's own words
	Example string
	ID      string // of the example
	Who     string // it is for
	Story   string // what happens, in the example
	Steps   []string
	Open    string // path that plays it
	Button  string
	Aside   *link                     // something to open besides
	Lines   []string                  // to copy into a terminal
	TOML    string                    // that does it in production
	Caution string                    // to be said beside it
	Parties map[sequence.Party]string // what the example calls them

	home map[sequence.Party]string // the origin of each party, which its own addresses are shown without
}

// link leads to another page; of the provider, if it is an address.
type link struct{ URL, Text string }

// flows are in the order in which the documentation numbers them.
func flows(c Config) []flow {
	all := stories(c)
	for i := range all {
		all[i].TOML = c.Recipes[all[i].ID]
	}
	return all
}

func stories(c Config) []flow {
	return []flow{
		{
			Name: "Authorization code with PKCE", Example: "CoolWebApp.com", ID: c.web(), Who: "People with a browser",
			Story: "You open the app. Doorward sends your browser to the identity provider and redeems the code that you come back with. The app is told who you are, and never sees a password.",
			Steps: []string{"Open the app and sign in.", "Look at the headers that reached it, and at your access token."},
			Open:  c.App + "/", Button: "Open CoolWebApp.com",
			Parties: map[sequence.Party]string{"App": "CoolWebApp.com"},
		},
		{
			Name: "Direct access grant (password)", Example: "LegacyDesktopApp", ID: Desktop, Who: "Programs that only know a user name and a password: git, WebDAV, curl",
			Story: "The program sends HTTP Basic, as it has for twenty years. Doorward trades the password for a token and passes on the token alone.",
			Steps: []string{"Press Synchronise in the program’s window, or send the line below from a terminal.", "Do it again: Doorward has the token by now and asks nobody.", "Try a wrong password, or open the files in this browser: there is a form for people."},
			Open:  windowPath, Button: "Start LegacyDesktopApp", Aside: &link{FilesPath, "Sign in by the form"},
			Lines:   []string{"curl -u " + c.firstUser() + " " + c.Origin + FilesPath},
			Caution: "It shows Doorward the password: take it for programs that can do nothing better.",
			Parties: map[sequence.Party]string{"Program": "LegacyDesktopApp", "App": "File server"},
		},
		{
			Name: "Implicit and hybrid", Example: "SimpleSPA.com", ID: SPA, Who: "Providers and apps that cannot do code",
			Story: "The provider hands the tokens to the browser, which posts them to Doorward. Signature, nonce and hashes are checked, and the single-page app gets a session instead of tokens.",
			Steps: []string{"Open the app and sign in.", "See in the live sequence how the tokens came through your browser, and that only the app’s API got one afterwards."},
			Open:  "/" + SPA + "/", Button: "Open SimpleSPA.com",
			Caution: "Take it only if your provider can do no code flow.",
			Parties: map[sequence.Party]string{"App": "SimpleSPA.com"},
		},
		{
			Name: "Client credentials", Example: "NightlyBackupService → DataStorageAPI", ID: Backup, Who: "Machines that call machines",
			Story: "At two in the morning nobody is there to sign in. The backup service calls the storage API through Doorward, which has fetched a token for it and renews it ahead of time.",
			Steps: []string{"Open the service’s console and press Back up now, or send the line below from a terminal.", "Do it again: Doorward has the token by now and asks nobody.", "Send it without a token, and with one for another API: the storage looks at each itself, and says what it refuses."},
			Open:  consolePath, Button: "Open NightlyBackupService",
			Lines:   []string{"curl -d everything " + c.Egress + DataPath + BackupsPath},
			Caution: "Whoever reaches the outbound listener has the token’s power: it is for this machine.",
			Parties: map[sequence.Party]string{"Program": backupService, "API": StorageAPI},
		},
		{
			Name: "Token exchange", Example: "MicroserviceA → MicroserviceB (as UserX)", ID: Exchange, Who: "A service that acts for a person",
			Story: "A holds a token that was meant for A. On the way to B Doorward swaps it for one that is meant for B, and still says whose request it is.",
			Steps: []string{"Open MicroserviceA and sign in.", "Press Ask B for me: the token that reaches B is made for B, names you, and says in act that A asks for you.", "Let A send your own token, or none: B refuses both."},
			Open:  "/" + Exchange + "/", Button: "Open MicroserviceA",
			Parties: map[sequence.Party]string{"App": serviceA, "API": ServiceB},
		},
		{
			Name: "Device authorization", Example: "SmartTV", ID: TV, Who: "Screens without a keyboard",
			Story: "The TV shows a short code and a QR code. You approve on your phone, and the TV is signed in.",
			Steps: []string{"Switch the TV on: it shows a code, and waits.", "Follow the address that it shows, in another tab: that is your phone. Sign in there, compare the code, approve.", "Look at the TV. The same works from a terminal, by the line below."},
			Open:  "/" + TV + "/", Button: "Switch the TV on", Aside: &link{c.Provider + "/device", "Open the page for your phone"},
			Lines:   []string{"doorward login " + c.Origin + "/" + TV + "/", "doorward token --format header " + c.Origin + " | curl -H @- " + c.Origin + "/" + TV + "/"},
			Parties: map[sequence.Party]string{"Browser": "TV", "App": "TV service", "Program": "Terminal"},
		},
		{
			Name: "CIBA", Example: "PointOfSaleTerminal / BankingApp", ID: Till, Who: "Approval on a person's phone, asked for elsewhere",
			Story: "The till asks for 20 euros. Your banking app shows the same short code as the till, you say yes on the phone, and the till goes on.",
			Steps: []string{"Open the banking app in another tab, as " + c.firstUser() + ": that is your phone.", "Switch the till on, say that you are " + c.firstUser() + ", and approve on the phone.", "Take 20 euros. The request is held until you approve this very payment."},
			Open:  "/" + Till + "/", Button: "Switch the till on", Aside: &link{c.Provider + "/phone", "Open the banking app"},
			Parties: map[sequence.Party]string{"Browser": "Till", "App": "Payments", "Phone": "BankingApp"},
		},
	}
}
