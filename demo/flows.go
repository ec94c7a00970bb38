package demo

// flow is one of the seven ways in which OAuth 2.0 and OpenID Connect hand out tokens, with the
// example by which the demo tells of it.
type flow struct {
	Name    string // in the standard's own words
	Example string
	Who     string // it is for
	Story   string // what happens, in the example
	Open    string // path that plays it; "" = it comes with a later version
	Button  string
}

// flows are in the order in which the documentation numbers them.
func flows(c Config) []flow {
	return []flow{
		{
			Name: "Authorization code with PKCE", Example: "CoolWebApp.com", Who: "People with a browser",
			Story: "You open the app. Doorward sends your browser to the identity provider and redeems the code that you come back with. The app is told who you are, and never sees a password.",
			Open:  c.App + "/", Button: "Open CoolWebApp.com",
		},
		{
			Name: "Direct access grant (password)", Example: "LegacyDesktopApp", Who: "Programs that only know a user name and a password: git, WebDAV, curl",
			Story: "The program sends HTTP Basic, as it has for twenty years. Doorward trades the password for a token and passes on the token alone.",
		},
		{
			Name: "Implicit and hybrid", Example: "SimpleSPA.com", Who: "Providers and apps that cannot do code",
			Story: "The provider hands the tokens to the browser, which posts them to Doorward. Signature, nonce and hashes are checked, and the single-page app gets a session instead of tokens.",
		},
		{
			Name: "Client credentials", Example: "NightlyBackupService → DataStorageAPI", Who: "Machines that call machines",
			Story: "At two in the morning nobody is there to sign in. The backup service calls the storage API through Doorward, which has fetched a token for it and renews it ahead of time.",
		},
		{
			Name: "Token exchange", Example: "MicroserviceA → MicroserviceB", Who: "A service that acts for a person",
			Story: "A holds a token that was meant for A. On the way to B Doorward swaps it for one that is meant for B, and still says whose request it is.",
		},
		{
			Name: "Device authorization", Example: "SmartTV", Who: "Screens without a keyboard",
			Story: "The TV shows a short code and a QR code. You approve on your phone, and the TV is signed in.",
		},
		{
			Name: "CIBA", Example: "PointOfSaleTerminal / BankingApp", Who: "Approval on a person's phone, asked for elsewhere",
			Story: "The till asks for 20 euros. Your banking app shows the same short code as the till, you say yes on the phone, and the till goes on.",
		},
	}
}
